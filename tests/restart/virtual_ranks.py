#!/usr/bin/env python3
"""data.virtual_ranks: the deck decides, not the machine. The same bits of the loss curve, the metrics and the whole checkpoint on any number of ranks, after any
sequence of stops and restarts on other numbers, and with any number of threads."""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import decks  # noqa: E402
import program  # noqa: E402

DECK = decks.digits(["{model}"], run={"output": "{output}", "seed": 5},
                    data={"batch": 36, "virtual_ranks": 8, "flip": "x", "crop": 2, "noise": 0.05},
                    optimizer={"kind": "sgd", "lr": 0.02, "momentum": 0.9}, train=decks.endless(12, evaluate_every=1, ema=0.9),
                    checkpoint={"every": 0, "keep": 100})

CNN = """
layer = conv name=first out=6 kernel=3 padding=1 bias=false
layer = batch_norm
layer = relu
layer = conv out=6 kernel=3 padding=1 bias=false
layer = batch_norm name=second
layer = add from=first,second
layer = relu
layer = max_pool kernel=2
layer = conv out=12 kernel=3 stride=2 bias=true
layer = group_norm groups=3
layer = flatten
layer = dropout p=0.3
layer = linear out=23
layer = tanh
layer = linear out=10
"""

MLP = """
layer = flatten
layer = linear out=64
layer = relu
layer = dropout p=0.2
layer = linear out=10
"""

OPTIMIZERS = {
    "sgd": ["--optimizer.kind=sgd", "--optimizer.lr=0.02", "--optimizer.momentum=0.9", "--optimizer.clip_norm=1"],
    "adamw": ["--optimizer.kind=adamw", "--optimizer.lr=0.002", "--optimizer.momentum=0", "--optimizer.clip_norm=0.5"],
    "rmsprop": ["--optimizer.kind=rmsprop", "--optimizer.lr=0.001"],
    "lars": ["--optimizer.kind=lars", "--optimizer.lr=1", "--optimizer.trust=0.01"],
    "lamb": ["--optimizer.kind=lamb", "--optimizer.lr=0.01", "--optimizer.momentum=0"],
}


class Lanes(program.ProgramTest):
    def setUp(self):
        super().setUp()
        # 226 = 6 * 36 + 10: in the last batch of an epoch lanes have one or two samples.
        self.data = self.make_digits(train=226, test=101)
        self.number = 0

    def deck(self, model):
        return self.write_deck(DECK.format(output=self.folder / "unused", data=self.data, model=model))

    def train(self, deck, legs, *words, threads=1):
        """A run in legs of (ranks, last step); returns all that it says of the training, and its last checkpoint."""
        self.number += 1
        folder = program.RunFolder(self.folder / f"run-{self.number}")
        for ranks, steps in legs:
            self.ok("train", deck, f"--run.output={folder.path}", f"--train.steps={steps}", *words, ranks=ranks, timeout=200, OMP_NUM_THREADS=str(threads))
        curve = {}
        for event in folder.events():
            if event["event"] in ("step", "evaluate", "end"):
                curve[event["event"], event["step"]] = [event.get("loss"), event.get("learning_rate"), event.get("test"), event.get("train_loss")]
        return curve, folder.digest(), folder.checkpoints()[-1]

    def same(self, deck, runs, *words, threads=(1,)):
        """All these sequences of legs end with the same bits of everything."""
        first = None
        for legs in runs:
            for n in threads:
                found = self.train(deck, legs, *words, threads=n)
                if first is None:
                    first = found
                    self.assertNotEqual(*[first[0]["step", step][0] for step in (1, legs[-1][1])])
                    continue
                where = f"{legs} with {n} thread(s)"
                # What a stop adds to the record, the end of a leg, is not part of the curve.
                steps = {key: value for key, value in found[0].items() if key in first[0]}
                self.assertEqual(steps, first[0], where)
                self.assertEqual(found[1], first[1], where)
                for group in ("/model", "/optimizer"):
                    difference = subprocess.run(["h5diff", first[2], found[2], group, group], capture_output=True, text=True)
                    self.assertEqual(difference.returncode, 0, f"{where}: {group}: {difference.stdout}{difference.stderr}")
        return first

    def test_any_ranks_and_restarts(self):
        deck = self.deck(CNN)
        self.same(deck, [[(1, 12)], [(2, 12)], [(3, 12)], [(4, 12)], [(5, 12)], [(8, 12)], [(4, 3), (1, 5), (3, 9), (8, 12)]])
        # And without lanes they are not: the comparison can fail.
        self.assertNotEqual(*[self.train(deck, [(ranks, 12)], "--data.virtual_ranks=0")[1] for ranks in (1, 3)])

    def test_every_optimiser(self):
        deck = self.deck(MLP)
        for name, words in OPTIMIZERS.items():
            with self.subTest(name):
                self.same(deck, [[(1, 12)], [(3, 12)], [(2, 7), (4, 12)]], *words)

    def test_numbers_of_threads(self):
        for model in (CNN, MLP):
            self.same(self.deck(model), [[(1, 12)], [(2, 12)]], threads=(1, 2, 3))

    def test_lanes_that_are_no_power_of_two(self):
        # And sharded state, files instead of memory, buckets of one layer.
        deck = self.deck(CNN)
        words = ["--data.virtual_ranks=7", "--data.cache=0", "--data.chunk=16", "--data.window=72", "--parallel.bucket=0.001"]
        found = [self.same(deck, [[(1, 12)], [(2, 12)], [(7, 12)]], *words, *more) for more in ([], ["--optimizer.shard=true"])]
        self.assertEqual(found[0][0], found[1][0])
        self.assertEqual(found[0][1], found[1][1])

    def test_values_and_double_precision(self):
        fields = self.folder / "fields"
        self.ok("shard", "fields", "--out", fields, "--train", 40, "--test", 21, "--shards", 2, "--size", 8)
        deck = self.write_deck(f"""
[run]
output = unused
[data]
train = {fields}/train
test = {fields}/test
batch = 10
virtual_ranks = 4
[model]
input = 4x8x8x8
layer = conv out=6 kernel=3 padding=1
layer = batch_norm
layer = leaky_relu
layer = avg_pool kernel=2
layer = flatten
layer = linear out=2
[loss]
kind = mse
[optimizer]
kind = adam
lr = 0.001
[train]
epochs = 1000
log_every = 1
precision = fp64
[checkpoint]
every = 0
keep = 100
""")
        self.same(deck, [[(1, 12)], [(3, 12)], [(4, 12)], [(4, 3), (2, 12)]], threads=(1, 2))

    def test_other_axes(self):
        # Lanes are of the data axis: on one grid of the others, any number of ranks there gives the same bits.
        deck = self.deck(CNN.replace("layer = group_norm groups=3\n", ""))
        for axes in (["--parallel.tensor=2"], ["--parallel.spatial=1x2"], ["--parallel.pipeline=2", "--parallel.micro_batches=2"],
                     ["--parallel.spatial=3x1"]):
            others = 3 if "3x1" in axes[0] else 2
            with self.subTest(axes[0]):
                self.same(deck, [[(others, 12)], [(2 * others, 12)], [(3 * others, 5), (others, 12)]], *axes)

    def test_what_does_not_go_with_lanes(self):
        deck = self.deck(MLP)
        cases = [(4, ["--data.virtual_ranks=3"], "data.virtual_ranks = 3, but 4 data-parallel ranks"),
                 (1, ["--data.virtual_ranks=37"], "some virtual ranks would have no sample"),
                 (1, ["--train.accumulate=2"], "train.accumulate = 2"), (2, ["--parallel.balance=measured"], "parallel.balance = measured"),
                 (2, ["--parallel.reduce_dtype=bf16"], "parallel.reduce_dtype = bf16"), (2, ["--parallel.reduce=hierarchical"], "parallel.reduce = hierarchical"),
                 (2, ["--optimizer.shard=true", "--optimizer.clip_norm=1"], "optimizer.clip_norm")]
        for ranks, words, message in cases:
            result = program.run("train", deck, f"--run.output={self.folder / 'refused'}", *words, ranks=ranks)
            self.assertEqual((result.code, len(result.errors())), (2, 1), result.text)
            self.assertIn(message, result.errors()[0])
        sync = self.deck("layer = conv out=4 kernel=3\nlayer = batch_norm sync=true\nlayer = flatten\nlayer = linear out=10")
        result = program.run("train", sync, f"--run.output={self.folder / 'refused'}")
        self.assertEqual(result.code, 2)
        self.assertIn("sync = true", result.errors()[0])
        self.assertFalse((self.folder / "refused").exists())


if __name__ == "__main__":
    program.main()
