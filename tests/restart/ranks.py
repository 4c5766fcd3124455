#!/usr/bin/env python3
"""One deck, any number of ranks: the same losses within float rounding, and exactly the same metrics of one checkpoint."""

import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import decks  # noqa: E402
import program  # noqa: E402

RANKS = (1, 2, 3, 4)
STEPS = 100
LOSS_TOLERANCE = 1e-4  # relative, of each of the first 100 steps

CLASSES = decks.digits(["{model}"], run={"output": "{output}", "seed": 5}, data={"batch": 32}, optimizer="{optimizer}",
                       train=decks.endless(100, evaluate_every=1000), checkpoint={"every": 0})

MLP = """
layer = flatten
layer = linear out=32
layer = relu
layer = dropout p=0.3
layer = linear out=10
"""

CNN = """
layer = conv out=4 kernel=5 stride=2
layer = relu
layer = max_pool kernel=2
layer = flatten
layer = dropout p=0.2
layer = linear out=10
"""

NORMALISED = """
layer = conv out=4 kernel=5 stride=2 bias=false
layer = batch_norm sync=true
layer = relu
layer = flatten
layer = linear out=16
layer = batch_norm sync=true
layer = relu
layer = linear out=10
"""

SGD = "kind = sgd\nlr = 0.05\nmomentum = 0.9\nweight_decay = 1e-4"
ADAMW = "kind = adamw\nlr = 0.002\nweight_decay = 0.01\nclip_norm = 1.0"


class Ranks(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.data = self.make_digits(train=622)

    def curves(self, model, optimizer, *overrides, tolerance=LOSS_TOLERANCE):
        """The losses of all steps on each number of ranks, compared with those on one."""
        deck = self.write_deck(CLASSES.format(output=self.folder / "unused", data=self.data, model=model, optimizer=optimizer))
        found, runs = {}, tempfile.mkdtemp(dir=self.folder)
        self.runs = {ranks: program.RunFolder(f"{runs}/ranks-{ranks}") for ranks in RANKS}
        for ranks in RANKS:
            folder = self.runs[ranks]
            self.ok("train", deck, f"--run.output={folder.path}", *overrides, ranks=ranks, timeout=100)
            found[ranks] = folder.losses()
            self.assertEqual(sorted(found[ranks]), list(range(1, STEPS + 1)), f"{ranks} rank(s) logged other steps")
            worst, step = max((abs(found[ranks][s] - found[1][s]) / abs(found[1][s]), s) for s in found[1])
            self.assertLess(worst, tolerance, f"step {step}: {found[ranks][step]} on {ranks} ranks, {found[1][step]} on one")
        self.assertNotEqual(found[1][1], found[1][STEPS])
        return found[1]

    def test_batch_that_no_number_of_ranks_divides(self):
        # 31 leaves a remainder on 2, 3 and 4 ranks; the last batch has two samples (622 = 20 * 31 + 2) for four ranks.
        losses = self.curves(MLP, SGD, "--data.batch=31")
        self.assertLess(sum(losses[s] for s in range(STEPS - 9, STEPS + 1)) / 10, 0.5 * losses[1])

    def test_batch_smaller_than_the_ranks(self):
        # Batches of 3 with a last one of 2 (62 = 20 * 3 + 2): some ranks have nothing to do.
        self.data = self.make_digits("few", train=62, test=5, shards=2)
        self.curves(MLP, "kind = adam\nlr = 0.002", "--data.batch=3")

    def test_convolutions_with_a_partial_last_batch(self):
        # 622 = 12 * 48 + 46.
        self.curves(CNN, ADAMW, "--data.batch=48")

    def test_moments_of_the_whole_batch(self):
        self.curves(NORMALISED, SGD, "--data.batch=31", "--train.precision=fp64", tolerance=1e-9)
        losses = {ranks: run.events("end")[-1]["test"]["loss"] for ranks, run in self.runs.items()}
        for loss in losses.values():
            self.assertAlmostEqual(loss, losses[1], delta=1e-9)

    def test_moments_of_a_batch_smaller_than_the_ranks(self):
        self.data = self.make_digits("few", train=62, test=5, shards=2)
        self.curves(NORMALISED, "kind = adam\nlr = 0.0005", "--data.batch=3", "--train.precision=fp64", tolerance=1e-7)

    def test_moments_of_shares(self):
        # Every rank normalizes by its own share, and evaluation by one set of running moments: alike on any number of ranks and in any batch.
        model = NORMALISED.replace(" sync=true", "")
        deck = self.write_deck(CLASSES.format(output=self.folder / "run", data=self.data, model=model, optimizer=SGD))
        self.ok("train", deck, ranks=3)
        ended = program.RunFolder(self.folder / "run").events("end")[-1]
        self.assertGreater(ended["test"]["accuracy"], 0.6)
        for ranks, batch in ((1, 150), (2, 7), (4, 1)):
            found = self.ok("evaluate", self.folder / "run", "--json", f"--data.test_batch={batch}", ranks=ranks).json()
            self.assertEqual(sum(found["confusion"][c][c] for c in range(10)), round(150 * ended["test"]["accuracy"]))
            self.assertAlmostEqual(found["loss"], ended["test"]["loss"], delta=1e-6)
            file = self.folder / f"predicted-{batch}.h5"
            self.ok("predict", self.folder / "run", "--out", file, f"--data.test_batch={batch}", ranks=ranks)
            predicted = {str(c): sum(row[c] for row in found["confusion"]) for c in range(10)}
            self.assertEqual(self.ok("inspect", file, "--json").json()["labels"]["histogram"], {c: n for c, n in predicted.items() if n > 0})
        found = self.ok("inspect", self.folder / "run", "--json").json()
        self.assertEqual(found["parameters_sha256"], ended["parameters_sha256"])

    def test_many_small_buckets_and_windows(self):
        # Every parameter travels on its own; rows come from the files, window by window, instead of from memory.
        self.curves(CNN, SGD, "--parallel.bucket=0.0001", "--data.cache=0", "--data.chunk=16", "--data.window=64")

    def test_sharded_state(self):
        for optimizer in (ADAMW, "kind = lamb\nlr = 0.01\nweight_decay = 0.02", "kind = lars\nlr = 2\ntrust = 0.01\nmomentum = 0.9"):
            self.curves(MLP, optimizer, "--optimizer.shard=true", "--parallel.bucket=0.02")
        end = self.runs[4].events("end")[-1]["communication"]
        self.assertEqual([line["what"] for line in end], ["reduce-scatter", "parameter all-gather", "normalization-statistics all-reduce"])

    def test_gradients_in_bf16(self):
        # Rounded, but with nothing lost over the steps: the curve stays near that of one rank, which sends nothing.
        for words in ([], ["--optimizer.shard=true"]):
            self.curves(MLP, SGD, "--parallel.reduce_dtype=bf16", *words, tolerance=0.05)

    def test_measured_shares(self):
        # The slow rank gets less of each batch, from memory and from files, and the curve stays that of one rank.
        os.environ["TRIREME_SLOW_RANK"] = "1:8"
        self.addCleanup(os.environ.pop, "TRIREME_SLOW_RANK")
        for words in (["--data.batch=31"], ["--data.batch=32", "--data.cache=0", "--data.chunk=16", "--data.window=64"]):
            self.curves(CNN, ADAMW, "--parallel.balance=measured", *words)
            self.assertEqual(self.runs[1].events("balance"), [])
            for ranks in RANKS[1:]:
                shares = self.runs[ranks].events("balance")[-1]["shares"]
                self.assertEqual((len(shares), sum(shares)), (ranks, int(words[0].rpartition("=")[2])))
                self.assertEqual(min(shares), shares[1], f"shares {shares}: rank 1 is the slow one")
                self.assertLess(shares[1], sum(shares) // ranks)
                self.assertLessEqual(max(shares), 2 * -(-sum(shares) // ranks))

    def test_sums_by_nodes(self):
        self.curves(CNN, SGD, "--parallel.reduce=hierarchical")

    def test_augmented_samples(self):
        augment = ["--data.flip=x,y", "--data.crop=3", "--data.noise=0.2"]
        losses = self.curves(CNN, SGD, "--data.batch=31", *augment)
        self.assertNotEqual(losses, self.curves(CNN, SGD, "--data.batch=31"))

    def test_accumulated_batches(self):
        # 622 = 21 batches of 31, the last of two: steps of four batches and a last one of a single small batch.
        self.curves(MLP, SGD, "--data.batch=31", "--train.accumulate=4")

    def test_accumulated_batches_are_one_large_batch(self):
        # Without a shuffle the batches of a step are the rows of one batch so many times as large.
        deck = self.write_deck(CLASSES.format(output=self.folder / "unused", data=self.data, model=CNN, optimizer=ADAMW))
        for batch, accumulate in ((31, 4), (100, 4), (311, 2)):
            found = []
            for number, (words, ranks) in enumerate((([f"--data.batch={batch * accumulate}"], 1),
                                                     ([f"--data.batch={batch}", f"--train.accumulate={accumulate}"], 1),
                                                     ([f"--data.batch={batch}", f"--train.accumulate={accumulate}"], 3))):
                folder = program.RunFolder(self.folder / f"{batch}-{number}")
                self.ok("train", deck, f"--run.output={folder.path}", "--data.shuffle=false", "--train.steps=40",
                        "--data.crop=2", "--data.flip=x", *words, ranks=ranks)
                found.append(folder)
            expected = found[0].losses()
            for folder in found[1:]:
                self.assertEqual(sorted(folder.losses()), sorted(expected))
                for step, loss in folder.losses().items():
                    self.assertLess(abs(loss - expected[step]), LOSS_TOLERANCE * abs(expected[step]), f"batch {batch}, step {step}")
                means = [[e["train"]["loss"] for e in run.events("epoch")] for run in (folder, found[0])]
                for mean, other in zip(*means, strict=True):
                    self.assertAlmostEqual(mean, other, delta=1e-4)

    def test_without_a_shuffle(self):
        self.curves(MLP, SGD, "--data.batch=31", "--data.shuffle=false")
        self.curves(MLP, SGD, "--data.batch=31", "--data.shuffle=false", "--data.cache=0", "--data.chunk=7", "--data.window=62")

    def test_every_epoch_sees_every_sample_once(self):
        # Nothing is learned at a rate of 0: every epoch has the same mean loss, and without a shuffle the same losses one by one.
        model = MLP.replace("layer = dropout p=0.3\n", "")
        deck = self.write_deck(CLASSES.format(output=self.folder / "unused", data=self.data, model=model, optimizer=SGD))
        for shuffle in ("true", "false"):
            folder = program.RunFolder(self.folder / shuffle)
            self.ok("train", deck, f"--run.output={folder.path}", "--optimizer.lr=0", "--train.steps=0", "--train.epochs=3",
                    "--data.batch=31", f"--data.shuffle={shuffle}", ranks=2)
            losses, epoch = folder.losses(), 21
            self.assertEqual(len(losses), 3 * epoch)
            means = [event["train"]["loss"] for event in folder.events("epoch")]
            for mean in means[1:]:
                self.assertAlmostEqual(mean, means[0], delta=1e-5)
            same = all(losses[step] == losses[step + epoch] == losses[step + 2 * epoch] for step in range(1, epoch + 1))
            self.assertEqual(same, shuffle == "false")

    def test_metrics_of_one_checkpoint(self):
        deck = self.write_deck(CLASSES.format(output=self.folder / "run", data=self.data, model=MLP, optimizer=SGD))
        self.ok("train", deck, "--train.steps=30", ranks=2)
        for batch in (7, 64, 1000):  # 150 test samples: 21 * 7 + 3, partial, all at once
            found = {ranks: self.ok("evaluate", self.folder / "run", "--json", f"--data.test_batch={batch}", ranks=ranks).json()
                     for ranks in RANKS}
            for ranks, metrics in found.items():
                self.assertEqual(metrics["samples"], 150)
                for exact in ("accuracy", "top5", "confusion", "step"):
                    self.assertEqual(metrics[exact], found[1][exact], f"{exact} on {ranks} ranks, batch {batch}")
                self.assertAlmostEqual(metrics["loss"], found[1]["loss"], delta=1e-6)
            confusion = found[1]["confusion"]
            self.assertEqual(sum(map(sum, confusion)), 150)
            self.assertEqual(round(found[1]["accuracy"] * 150), sum(confusion[c][c] for c in range(10)))

    def test_metrics_of_a_regression(self):
        self.ok("shard", "csv", program.ROOT / "inputs" / "tanh" / "waves.csv", "--targets", 3, "--out", self.folder / "waves", "--shards", 2)
        self.ok("train", program.ROOT / "inputs" / "tanh" / "mlp.ini", f"--data.train={self.folder}/waves/train",
                f"--data.test={self.folder}/waves/test", f"--run.output={self.folder}/run", "--train.epochs=3")
        found = {ranks: self.ok("evaluate", self.folder / "run", "--json", "--data.test_batch=11", ranks=ranks).json() for ranks in RANKS}
        for ranks, metrics in found.items():
            self.assertEqual(metrics["samples"], found[1]["samples"])
            for name in ("loss", "mae", "r2"):
                self.assertAlmostEqual(metrics[name], found[1][name], delta=1e-6, msg=f"{name} on {ranks} ranks")


if __name__ == "__main__":
    program.main()
