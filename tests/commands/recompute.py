#!/usr/bin/env python3
"""train.recompute: the same bits in less memory, for ready decks, on every axis of the grid, with virtual ranks, and from one setting to another. The plan shows
what it saves, and a run allocates what is planned."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import program  # noqa: E402

INPUTS = program.ROOT / "inputs"

# Norms, fused pooling, a skip connection, dropout, random flips.
MIXED = """
[run]
seed = 5
[data]
train = {data}/train
batch = 12
scale = 1/255
flip = x
[model]
input = 1x28x28
layer = conv name=first out=6 kernel=3 padding=1 bias=false
layer = batch_norm sync=true
layer = relu name=skip
layer = conv out=6 kernel=3 padding=1
layer = group_norm groups=3
layer = tanh
layer = add from=skip,tanh1
layer = conv out=8 kernel=3 padding=1
layer = relu
layer = max_pool kernel=2
layer = dropout p=0.2
layer = conv out=8 kernel=3 padding=1
layer = batch_norm sync=true
layer = relu
layer = flatten
layer = dropout p=0.3
layer = linear out=20
layer = tanh
layer = linear out=10
[optimizer]
kind = adam
[train]
steps = 4
evaluate_every = 0
[parallel]
micro_batches = 1
[checkpoint]
every = 0
"""


class Recompute(program.ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.digits = cls.make_digits(train=60, test=20)

    def trained(self, name, deck, *words, ranks=1):
        """The digest and the loss curve of a run, which allocates what it planned."""
        run = program.RunFolder(self.folder / name)
        self.ok("train", deck, f"--run.output={run.path}", "--train.log_every=1", *words, ranks=ranks, timeout=200)
        memory = run.events("end")[-1]["memory"]["activations"]
        self.assertEqual(memory["allocated"], memory["planned"], name)
        return run.digest(), run.losses(), memory["planned"]

    def same(self, deck, *words, ranks=1, options=("auto", "3")):
        name = "-".join(word.strip("-").replace("/", "_") for word in words)[-80:]
        plain = self.trained(f"none-{name}", deck, *words, ranks=ranks)
        for option in options:
            other = self.trained(f"{option}-{name}", deck, *words, f"--train.recompute={option}", ranks=ranks)
            self.assertEqual(other[:2], plain[:2], f"{option} {words}")
            if option == "auto":
                self.assertLessEqual(other[2], plain[2], f"{words}")
        return plain

    def test_ready_decks(self):
        small = ("--train.steps=2", "--train.evaluate_every=0", "--data.batch=8")
        digits = (f"--data.train={self.digits}/train", "--data.test=")
        self.same(INPUTS / "mnist" / "mlp.ini", *digits, *small, options=("2",))
        self.same(INPUTS / "cifar10" / "resnet20.ini", *digits, "--data.mean=0.5", "--data.std=0.25", "--model.input=1x28x28", *small)
        fields = self.folder / "fields"
        self.ok("shard", "fields", "--out", fields, "--train", 16, "--test", 4, "--shards", 1, "--size", 8)
        self.same(INPUTS / "fields" / "unet.ini", f"--data.train={fields}/train", "--data.test=", "--model.input=4x8x8x8", *small)

    def test_every_axis(self):
        deck = self.write_deck(MIXED.format(data=self.digits))
        for ranks, words in ((1, ()), (2, ("--parallel.data=2",)), (2, ("--parallel.tensor=2",)), (4, ("--parallel.spatial=2x2",)),
                             (4, ("--parallel.spatial=1x2", "--parallel.tensor=2")), (2, ("--parallel.pipeline=2", "--parallel.micro_batches=3"))):
            self.same(deck, *words, ranks=ranks)

    def test_virtual_ranks(self):
        deck = self.write_deck(MIXED.replace("[data]", "[data]\nvirtual_ranks = 4").replace(" sync=true", "").format(data=self.digits))
        one = self.same(deck)
        for ranks in (2, 3):
            other = self.trained(f"on-{ranks}", deck, "--train.recompute=auto", ranks=ranks)
            self.assertEqual(other[0], one[0])

    def test_a_restart_with_another_setting(self):
        deck = self.write_deck(MIXED.format(data=self.digits))
        plain = self.trained("plain", deck)
        self.trained("changing", deck, "--train.steps=2", "--train.recompute=2")
        self.assertEqual(self.trained("changing", deck, "--train.recompute=auto")[0], plain[0])

    def test_the_plan_shows_the_saving(self):
        # At least this much less: of the residual network, whose skip connections cross segments; of the U-Net, whose skip values stay; of CosmoFlow, whose
        # first layer alone needs nearly all, so that nothing can be saved.
        for name, factor in (("cifar10/resnet20", 2), ("fields/unet", 1.05), ("fields/cosmoflow", 1)):
            deck = INPUTS / f"{name}.ini"
            plain = self.ok("plan", deck, "--ranks", 1, "--json").json()["memory"][0]
            smaller = self.ok("plan", deck, "--ranks", 1, "--json", "--train.recompute=auto").json()["memory"][0]
            print(f"{name}: {plain['activations'] / 2**20:.1f} MiB, recomputed {smaller['activations'] / 2**20:.1f} MiB in {smaller['segments']} segments, "
                  f"{100 * smaller['recomputed_share']:.0f} % of the forward multiply-adds again")
            self.assertEqual(plain["segments"], 1)
            self.assertEqual(plain["activations_without_recompute"], plain["activations"])
            self.assertEqual(smaller["activations_without_recompute"], plain["activations"])
            self.assertLessEqual(smaller["activations"] * factor, plain["activations"], name)
            text = self.ok("plan", deck, "--ranks", 1, "--train.recompute=auto").text
            if smaller["segments"] > 1:
                self.assertIn(f"{smaller['segments']} segments, activations", text)
        # Stages with micro-batches in flight keep what lies between segments for each, and share the rest.
        words = ("--parallel.pipeline=2", "--parallel.micro_batches=8")
        deck = INPUTS / "cifar10" / "resnet20.ini"
        plain = self.ok("plan", deck, "--ranks", 2, "--json", *words).json()["memory"][0]
        smaller = self.ok("plan", deck, "--ranks", 2, "--json", *words, "--train.recompute=auto").json()["memory"][0]
        self.assertLess(smaller["activations"] * 2, plain["activations"])

    def test_wrong_values(self):
        deck = self.write_deck(MIXED.format(data=self.digits))
        for value in ("yes", "0", "1.5", "20000"):
            failed = program.run("train", deck, f"--run.output={self.folder}/wrong", f"--train.recompute={value}")
            self.assertEqual(failed.code, 2)
            self.assertIn(f"train.recompute = {value}: expected none, auto, or the number of segments, from 1 to 10000", failed.text)


if __name__ == "__main__":
    program.main()
