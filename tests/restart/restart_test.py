"""Decks and comparisons that the tests of restarting share."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import decks  # noqa: E402
import program  # noqa: E402

STEPS = 150

# 20 steps an epoch, the last one of 11 samples.
DECK = decks.digits(["flatten", "linear name=hidden out=24", "relu", "dropout p=0.3", "linear name=head out=10"], run={"seed": 3}, data={"batch": 31},
                    train=decks.endless("{steps}", evaluate_every=2), checkpoint={"every": 11})

MOMENTUM = ["--optimizer.kind=sgd", "--optimizer.lr=0.05", "--optimizer.momentum=0.9", "--schedule.kind=cosine", "--schedule.warmup=2.5"]
NESTEROV = ["--optimizer.kind=sgd", "--optimizer.lr=0.03", "--optimizer.momentum=0.9", "--optimizer.nesterov=true",
            "--optimizer.weight_decay=1e-3", "--schedule.kind=step", "--schedule.every=3"]
ADAM = ["--optimizer.kind=adam", "--optimizer.lr=0.002", "--schedule.kind=linear", "--schedule.warmup=0.7"]
ADAMW = ["--optimizer.kind=adamw", "--optimizer.lr=0.002", "--optimizer.weight_decay=0.02", "--optimizer.clip_norm=1"]
RMSPROP = ["--optimizer.kind=rmsprop", "--optimizer.lr=0.001", "--optimizer.momentum=0.5", "--optimizer.centered=true"]
LARS = ["--optimizer.kind=lars", "--optimizer.lr=5", "--optimizer.momentum=0.9", "--optimizer.weight_decay=1e-3",
        "--optimizer.decay_biases=false", "--optimizer.trust=0.01"]
LAMB = ["--optimizer.kind=lamb", "--optimizer.lr=0.01", "--optimizer.weight_decay=0.02"]
DOUBLE = ["--train.precision=fp64"]
AVERAGE = ["--train.ema=0.9"]
SHARD = ["--optimizer.shard=true", "--parallel.bucket=0.03"]
ACCUMULATE = ["--train.accumulate=3"]  # 7 steps an epoch, the last one of 2 batches
AUGMENT = ["--data.flip=x,y", "--data.crop=3", "--data.noise=0.1"]
FROM_FILES = ["--data.cache=0", "--data.chunk=16", "--data.window=128"]


NORMALISED = DECK.replace("layer = relu", "layer = batch_norm name=norm{sync}\nlayer = relu")


class RestartTest(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.deck = self.write_deck(DECK.format(data=self.make_digits(), steps=STEPS))

    def words(self, name, *overrides):
        return ["train", self.deck, f"--run.output={self.folder / name}", *overrides]

    def whole(self, *overrides, ranks=1, name="whole"):
        """The run that nothing interrupts."""
        self.ok(*self.words(name, *overrides), ranks=ranks)
        return program.RunFolder(self.folder / name)

    def assert_same_run(self, found, expected):
        """The same bits at the end, and one record of each step, epoch and checkpoint on the way, with the same numbers."""
        self.assertEqual(found.digest(), expected.digest())
        self.assertEqual([e["step"] for e in found.events("step")], [e["step"] for e in expected.events("step")])
        self.assertEqual(found.losses(), expected.losses())
        for event, other in zip(found.events("step"), expected.events("step")):
            self.assertEqual((event["lr"], event["epoch"]), (other["lr"], other["epoch"]))
        numbers = lambda run: [(e["epoch"], e["step"], e["train"], e.get("test")) for e in run.events("epoch")]  # noqa: E731
        self.assertEqual(numbers(found), numbers(expected))
        self.assertEqual(found.events("end")[-1]["test"], expected.events("end")[-1]["test"])
        self.assert_tidy(found)

    def assert_tidy(self, folder):
        """Whole checkpoints and nothing else, no more than are kept, none of a step that was not recorded."""
        names = sorted(path.name for path in (folder.path / "checkpoints").iterdir())
        self.assertEqual(names, [path.name for path in folder.checkpoints()], "left over among the checkpoints")
        self.assertLessEqual(len(names), 2)
        self.assertEqual([path.name for path in folder.path.glob("*.partial")], [])

    def assert_close(self, found, expected, tolerance):
        self.assertEqual(sorted(found.losses()), sorted(expected.losses()))
        for step, loss in expected.losses().items():
            self.assertLess(abs(found.losses()[step] - loss), tolerance * abs(loss), f"loss of step {step}")
