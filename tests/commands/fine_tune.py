#!/usr/bin/env python3
"""model.weights: a new run begins with what fits of another run's checkpoint, on any grid; what matched is printed."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import with_h5py  # noqa: E402,F401

import h5py  # noqa: E402
import numpy as np  # noqa: E402

import program  # noqa: E402

DECK = """
[run]
seed = 3
[data]
train = {data}/train
test = {data}/test
batch = 31
scale = 1/255
[model]
input = 1x28x28
layer = conv name=body.conv out=8 kernel=3 stride=2
layer = batch_norm name=body.norm
layer = relu
layer = flatten
layer = linear name={head} out={out}
[optimizer]
lr = 0.05
momentum = 0.9
[train]
epochs = 1
[checkpoint]
every = 7
"""


def arrays(file, group="model"):
    found = {}
    with h5py.File(file, "r") as opened:
        opened[group].visititems(lambda name, item: found.__setitem__(name, item[...]) if isinstance(item, h5py.Dataset) else None)
    return found


class FineTune(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.data = self.make_digits(train=620, test=62)
        self.first = self.common / "first"
        if not self.first.exists():
            self.ok("train", self.write_deck(DECK.format(data=self.data, head="head", out=10)), f"--run.output={self.first}")
        self.file = program.RunFolder(self.first).checkpoints()[-1]
        self.before = arrays(self.file)

    def tuned(self, *words, name="tuned", head="head", out=10, ranks=1):
        """A new run that is stopped before its first step, so that its checkpoint holds what it began with."""
        deck = self.write_deck(DECK.format(data=self.data, head=head, out=out))
        result = self.ok("train", deck, f"--run.output={self.folder / name}", f"--model.weights={self.file}", *words, ranks=ranks)
        folder = program.RunFolder(self.folder / name)
        return result, folder, arrays(folder.checkpoints()[-1])

    def refused(self, *said, words=(), head="head", out=10, code=2):
        deck = self.write_deck(DECK.format(data=self.data, head=head, out=out))
        result = program.run("train", deck, f"--run.output={self.folder / 'refused'}", f"--model.weights={self.file}", *words)
        self.assertEqual(result.code, code, result.text)
        for part in said:
            self.assertIn(part, result.text)
        self.assertFalse((self.folder / "refused").exists())

    def same(self, found, names):
        for name in names:
            np.testing.assert_array_equal(found[name], self.before[name].astype(found[name].dtype), name)

    def body(self):
        return [name for name in self.before if name.startswith("body")]

    def test_another_head_on_any_grid_precision_and_optimizer(self):
        plain = None
        for number, (ranks, words) in enumerate(((1, ()), (2, ("--parallel.tensor=2",)), (2, ("--parallel.pipeline=2",)), (2, ("--optimizer.shard=true",)),
                             (1, ("--train.precision=fp64", "--optimizer.kind=adamw")))):
            result, folder, found = self.tuned("--train.epochs=0", *words, name=f"tuned{number}", head="top", out=12, ranks=ranks)
            self.assertIn("in the file, but not in this network: head.bias, head.weight", result.text)
            self.assertIn("not in the file, so initialized: top.weight, top.bias", result.text)
            self.same(found, self.body())
            self.assertEqual(found["top.weight"].shape[0], 12)
            self.assertEqual(folder.events("weights")[0]["loaded"][0], "body.conv.weight")
            self.assertEqual(folder.events("start")[0]["step"], 0)
            if not words:
                plain = found
            elif "fp64" not in words[0]:  # the new head, too, is that of one rank
                np.testing.assert_array_equal(found["top.weight"], plain["top.weight"])

    def test_the_optimizer_is_fresh_and_the_head_keeps_its_seed(self):
        result, folder, found = self.tuned("--train.epochs=0", out=10)
        self.assertNotIn("so initialized", result.text)
        self.same(found, self.before)
        for values in arrays(folder.checkpoints()[-1], "optimizer/momentum").values():
            self.assertEqual(np.abs(values).max(), 0)
        self.assertGreater(max(np.abs(values).max() for values in arrays(self.file, "optimizer/momentum").values()), 0)

    def test_shapes_skips_and_renames(self):
        self.refused("head.weight (10, 1352) -> (14, 1352)", "model.weights_skip", out=14)
        result, _, found = self.tuned("--train.epochs=0", "--model.weights_skip=head", out=14)
        self.assertIn("skipped, so initialized: head.weight, head.bias", result.text)
        self.same(found, self.body())
        result, _, found = self.tuned("--train.epochs=0", "--model.weights_shapes=skip", name="shapes", out=14)
        self.assertIn("other shape in the file, so initialized: head.weight (10, 1352) -> (14, 1352)", result.text)
        self.same(found, self.body())
        _, _, found = self.tuned("--train.epochs=0", "--model.weights_rename=head:top", name="renamed", head="top")
        np.testing.assert_array_equal(found["top.weight"], self.before["head.weight"])
        _, _, found = self.tuned("--train.epochs=0", "--model.weights_rename=h*.weight:t*.weight", name="stars", head="tead")
        np.testing.assert_array_equal(found["tead.weight"], self.before["head.weight"])

    def test_refusals(self):
        self.refused("'haed' matches no array", "did you mean 'head'?", words=["--model.weights_skip=haed"])
        self.refused("'boody' matches no array", "did you mean 'body'?", words=["--model.weights_rename=boody:trunk"])
        self.refused("would both be 'head.bias'", words=["--model.weights_rename=body.conv.bias:head.bias"])
        self.refused("no array of", "model.weights_rename", words=["--model.weights_rename=body:trunk,head:top"])
        self.refused("exclude each other", words=[f"--checkpoint.resume={self.first}"])
        self.refused("holds no checkpoint", words=[f"--model.weights={self.data}"], code=4)
        result = program.run("train", self.write_deck(DECK.format(data=self.data, head="head", out=14)), f"--run.output={self.first}")
        self.assertEqual(result.code, 4)
        self.assertIn("model.weights", result.text)

    def test_other_scales_are_told(self):
        result, _, _ = self.tuned("--train.epochs=0", "--data.scale=1")
        self.assertIn("trained with data.scale = 1/255, and this deck has 1", result.text)

    def test_a_restart_continues_the_new_run(self):
        words = ("--train.epochs=2", "--model.weights_skip=head", "--train.log_every=1")
        _, whole, _ = self.tuned(*words, name="whole", out=14, head="head")
        self.tuned(*words, "--train.steps=9", name="parts", out=14)
        result, parts, _ = self.tuned(*words, name="parts", out=14)
        self.assertIn("at step 9", result.text)
        self.assertNotIn("weights of", result.text)
        self.assertEqual(parts.digest(), whole.digest())

    def test_frozen_layers_and_groups_on_any_grid(self):
        words = ("--optimizer.freeze=body.conv", "--optimizer.groups=*.bias, body.norm weight_decay=0; head lr=0.02", "--optimizer.weight_decay=0.01")
        digests, results = set(), []
        for number, (ranks, more) in enumerate(((1, ["--data.virtual_ranks=4"]), (2, ["--data.virtual_ranks=4"]), (2, ["--data.virtual_ranks=4", "--optimizer.shard=true"]),
                                                (1, []), (2, ["--parallel.tensor=2"]), (2, ["--parallel.pipeline=2", "--parallel.micro_batches=1"]))):
            result, folder, found = self.tuned(*words, *more, name=f"frozen{number}", ranks=ranks)
            self.assertIn("frozen: 2 arrays, 80 numbers", result.text)
            self.same(found, ["body.conv.weight", "body.conv.bias"])
            self.assertGreater(np.abs(found["head.weight"] - self.before["head.weight"]).max(), 1e-4)
            if more[:1] == ["--data.virtual_ranks=4"]:
                digests.add(folder.digest())
            else:
                results.append(found)
        self.assertEqual(len(digests), 1)
        for found in results[1:]:
            for name, values in results[0].items():
                np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-4, err_msg=name)
        result = program.run("train", self.folder / "deck.ini", f"--run.output={self.folder / 'wrong'}", "--optimizer.freeze=bodi")
        self.assertEqual(result.code, 2)
        self.assertIn("did you mean 'body'?", result.text)

    def test_the_average_is_taken_if_there_is_one(self):
        averaged = self.folder / "averaged"
        self.ok("train", self.write_deck(DECK.format(data=self.data, head="head", out=10)), f"--run.output={averaged}", "--train.ema=0.9")
        file = program.RunFolder(averaged).checkpoints()[-1]
        result, _, found = self.tuned("--train.epochs=0", f"--model.weights={file}")
        self.assertIn("moving averages", result.text)
        for name, values in arrays(file, "ema").items():
            np.testing.assert_array_equal(found[name], values)
        np.testing.assert_array_equal(found["body.norm.running_mean"], arrays(file)["body.norm.running_mean"])


if __name__ == "__main__":
    program.main()
