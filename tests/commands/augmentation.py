#!/usr/bin/env python3
"""Augmentation draws the same for a sample on any number of ranks, whatever is split, and after a restart; wrong keys are refused."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import program  # noqa: E402

DECK = """
[run]
seed = 3
[data]
train = {data}/train
batch = 12
scale = 1/255
mean = 0.2
std = 0.3
rotate = y-x
shift = x
flip = y
crop = 2
brightness = 0.2
contrast = 0.3
erase = 0.6
noise = 0.05
[model]
input = 1x28x28
layer = conv out=4 kernel=3 padding=1
layer = tanh
{head}
[train]
steps = 4
evaluate_every = 0
precision = fp64
log_every = 1
[parallel]
micro_batches = 1
[checkpoint]
every = 0
"""
CLASSES = "layer = flatten\nlayer = linear out=10"
FEATURES = "layer = conv out=1 kernel=3 padding=1\n[loss]\nkind = mse"
MOVES = ("data.rotate=", "data.shift=", "data.flip=", "data.crop=0", "data.brightness=0", "data.contrast=0", "data.erase=0")


class Augmentation(program.ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.digits = cls.make_digits(train=60, test=20)

    def trained(self, name, deck, *words, ranks=1):
        run = program.RunFolder(self.folder / name)
        self.ok("train", deck, f"--run.output={run.path}", *words, ranks=ranks)
        return run

    def test_every_axis(self):
        for kind, head, more in (("classes", CLASSES, ()), ("features", FEATURES, ("--data.target=features",))):
            deck = self.write_deck(DECK.format(data=self.digits, head=head), f"{kind}.ini")
            one = self.trained(f"{kind}-one", deck, *more)
            for ranks, words in ((2, ("--parallel.data=2",)), (3, ("--parallel.data=3",)), (4, ("--parallel.spatial=2x2",)),
                                 (4, ("--parallel.spatial=1x2", "--parallel.data=2")), (2, ("--parallel.pipeline=2", "--parallel.micro_batches=3"))):
                many = self.trained(f"{kind}-{ranks}-{words[0][-4:]}", deck, *more, *words, ranks=ranks)
                for step, loss in one.losses().items():
                    self.assertLess(abs(many.losses()[step] - loss), 1e-10 * abs(loss), f"{kind}, step {step} on {words}")
            # Each of the keys changes what is computed.
            for word in MOVES:
                self.assertNotEqual(self.trained(f"{kind}-{word}", deck, *more, f"--{word}").digest(), one.digest(), word)

    def test_virtual_ranks_and_restarts(self):
        deck = self.write_deck(DECK.format(data=self.digits, head=CLASSES).replace("[data]", "[data]\nvirtual_ranks = 4"))
        digests = [self.trained(f"on-{ranks}", deck, ranks=ranks).digest() for ranks in (1, 2, 3)]
        self.assertEqual(len(set(digests)), 1)
        self.trained("parts", deck, "--train.steps=2", ranks=2)
        self.assertEqual(self.trained("parts", deck, ranks=3).digest(), digests[0])

    def test_mixtures(self):
        deck = self.write_deck(DECK.format(data=self.digits, head=FEATURES).replace("[data]", "[data]\nmixup = 0.4\nvirtual_ranks = 4\ntarget = features"))
        digests = [self.trained(f"mix-{ranks}", deck, ranks=ranks).digest() for ranks in (1, 2, 3)]
        self.assertEqual(len(set(digests)), 1)
        self.assertNotEqual(self.trained("unmixed", deck, "--data.mixup=0").digest(), digests[0])
        one, split = self.trained("mix-1", deck).losses(), self.trained("mix-split", deck, "--parallel.spatial=2x1", ranks=2).losses()
        for step, loss in one.items():
            self.assertLess(abs(split[step] - loss), 1e-10 * abs(loss))
        for words, said in ((("--data.virtual_ranks=0",), "the samples that are mixed would depend on the number of ranks"),
                            (("--parallel.micro_batches=2",), "data.mixup = 0.4 mixes the samples of a pass"),):
            failed = program.run("train", deck, f"--run.output={self.folder}/wrong", *words)
            self.assertEqual(failed.code, 2)
            self.assertIn(said, failed.text)
        classes = self.write_deck(DECK.format(data=self.digits, head=CLASSES).replace("[data]", "[data]\nmixup = 0.4\nvirtual_ranks = 4"), "classes.ini")
        failed = program.run("train", classes, f"--run.output={self.folder}/wrong")
        self.assertEqual(failed.code, 2)
        self.assertIn("are classes, which cannot be mixed", failed.text)

    def test_the_log_says_what_is_augmented(self):
        deck = self.write_deck(DECK.format(data=self.digits, head=CLASSES))
        text = self.ok("train", deck, f"--run.output={self.folder}/log").text
        self.assertIn("data.flip = y, data.crop = 2, data.shift = x, data.rotate = y-x: applied to features; class labels do not change", text)
        self.assertIn("data.brightness = 0.2, data.contrast = 0.3, data.erase = 0.6: applied to features; labels do not change", text)

    def test_wrong_keys(self):
        deck = self.write_deck(DECK.format(data=self.digits, head=CLASSES))
        for word, said in (("data.rotate=y", "'y' is not a plane of model.input = 1x28x28"), ("data.rotate=y-z", "'z' is not an axis"),
                           ("data.shift=z", "data.shift = z: 'z' is not an axis"), ("data.contrast=2", "data.contrast"), ("data.erase=1.5", "data.erase"),
                           ("data.erase_size=0", "data.erase_size"), ("data.brightness=-1", "data.brightness")):
            failed = program.run("train", deck, f"--run.output={self.folder}/wrong", f"--{word}")
            self.assertEqual(failed.code, 2, word)
            self.assertIn(said, failed.text)


if __name__ == "__main__":
    program.main()
