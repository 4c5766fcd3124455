#!/usr/bin/env python3
"""Validation data, the best checkpoint, early stopping, targets and the plateau schedule; restarts decide as a run that nothing interrupted."""

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
train = {train}
validation = {validation}
batch = 29
shuffle = true
[model]
input = 7
layer = linear name=hidden out=9
layer = tanh
layer = linear name=head out=1
[loss]
kind = mse
[optimizer]
lr = 0.05
momentum = 0.9
[train]
epochs = 12
log_every = 1
[checkpoint]
every = 4
"""


def rows(seed, count):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 7)).astype("f4")
    return x, (np.sin(x[:, 0]) + 0.3 * random.normal(size=count)).astype("f4")


def write(file, x, y):
    with h5py.File(file, "w") as opened:
        opened["x"], opened["y"] = x, y


class Quality(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.train, self.other = self.common / "train", self.common / "other"
        if not self.train.exists():
            self.train.mkdir()
            for part, count in enumerate((101, 57, 42)):
                write(self.train / f"part{part}.h5", *rows(part, count))
            self.other.mkdir()
            write(self.other / "part.h5", *rows(9, 83))
        self.deck = self.write_deck(DECK.format(train=self.train, validation=self.other))

    def go(self, name, *words, ranks=1, code=0):
        result = program.run("train", self.deck, f"--run.output={self.folder / name}", *words, ranks=ranks)
        self.assertEqual(result.code, code, result.text)
        return result, program.RunFolder(self.folder / name)

    def refused(self, *said, words=()):
        result = program.run("train", self.deck, f"--run.output={self.folder / 'refused'}", *words)
        self.assertEqual(result.code, 2, result.text)
        for part in said:
            self.assertIn(part, result.text)

    @staticmethod
    def validated(folder, metric="loss"):
        return [(e["step"], e["validation"][metric]) for e in folder.events("epoch") if "validation" in e]

    def loss_of(self, file, x, y):
        with h5py.File(file) as opened:
            of = {name: opened[f"model/{name}"][...].astype("f8") for name in ("hidden.weight", "hidden.bias", "head.weight", "head.bias")}
        out = np.tanh(x @ of["hidden.weight"].T + of["hidden.bias"]) @ of["head.weight"].T + of["head.bias"]
        return float(np.mean((out[:, 0] - y) ** 2))

    def test_validation_is_evaluated_and_the_best_is_kept(self):
        result, folder = self.go("best", "--train.best=loss", "--checkpoint.keep=1", "--optimizer.lr=0.15")
        measured = self.validated(folder)
        self.assertEqual(len(measured), 12)
        step, value = min(measured, key=lambda pair: pair[1])
        self.assertIn(f"at step {step}, kept as checkpoints/best.h5", result.text)
        self.assertEqual(folder.events("end")[0]["best"]["step"], step)
        best = folder.path / "checkpoints" / "best.h5"
        with h5py.File(best) as opened:
            self.assertEqual(opened["progress"].attrs["step"], step)
        x, y = rows(9, 83)
        self.assertAlmostEqual(self.loss_of(best, x, y), value, places=5)
        self.assertAlmostEqual(self.loss_of(folder.checkpoints()[-1], x, y), measured[-1][1], places=5)
        again = self.ok("evaluate", folder.path, "--best", "--json", f"--data={self.other}").json()
        self.assertEqual(again["step"], step)
        self.assertAlmostEqual(again["loss"], value, places=6)

    def test_a_fraction_holds_rows_out(self):
        # One rank without momentum and a rate of 0: the loss of the first step and of the validation tell which rows each sees.
        self.deck = self.write_deck(DECK.format(train=self.train, validation="0.25"))
        result, folder = self.go("held", "--optimizer.lr=0", "--data.batch=150", "--train.epochs=2")
        self.assertIn("validation: 50 samples of data.train", result.text)
        self.assertIn("150 training samples", result.text)
        x, y = (np.concatenate(part) for part in zip(*(rows(part, count) for part, count in enumerate((101, 57, 42)))))
        whole = self.loss_of(folder.checkpoints()[-1], x, y) * 200
        trained, held = folder.events("step")[0]["loss"] * 150, self.validated(folder)[0][1] * 50
        self.assertAlmostEqual(trained + held, whole, places=2)
        self.assertEqual(len({round(e["loss"], 5) for e in folder.events("step")}), 1)
        self.assertEqual(self.validated(folder)[0][1], self.validated(folder)[1][1])
        # The same rows on other ranks; others with another seed.
        _, two = self.go("held2", "--optimizer.lr=0", "--data.batch=150", "--train.epochs=1", ranks=2)
        self.assertAlmostEqual(self.validated(two)[0][1], held / 50, places=6)
        _, other = self.go("held3", "--optimizer.lr=0", "--data.batch=150", "--train.epochs=1", "--data.validation_seed=2")
        self.assertNotAlmostEqual(self.validated(other)[0][1], held / 50, places=4)

    def test_early_stopping_and_targets_end_the_run(self):
        result, folder = self.go("early", "--train.best=loss", "--train.patience=2", "--train.epochs=60", "--optimizer.lr=0.3")
        measured = [value for _, value in self.validated(folder)]
        best, count = None, 0
        for value in measured:
            best, count = (value, 0) if best is None or value < best else (best, count + 1)
        self.assertEqual(count, 2)
        self.assertIn("stopped early: 2 evaluation(s) did not improve validation loss", result.text)
        self.assertLess(len(measured), 60)
        # It has ended: a start changes nothing; with more patience it goes on.
        self.go("early", "--train.best=loss", "--train.patience=2", "--train.epochs=60", "--optimizer.lr=0.3")
        self.assertEqual([value for _, value in self.validated(folder)], measured)
        self.go("early", "--train.best=loss", "--train.patience=9", "--train.epochs=60", "--optimizer.lr=0.3")
        self.assertGreater(len(self.validated(folder)), len(measured))
        wanted = measured[0] * 0.97
        result, folder = self.go("target", f"--train.target=loss<={wanted!r}", "--train.epochs=60")
        event = folder.events("target")[0]
        self.assertLessEqual(event["value"], wanted)
        self.assertTrue(all(value > wanted for _, value in self.validated(folder)[:-1]))
        self.assertEqual(event["samples"], 200 * event["epoch"])
        self.assertIn("time to quality:", result.text)

    def test_restarts_decide_alike(self):
        words = ["--train.best=loss", "--train.patience=3", "--train.epochs=40", "--optimizer.lr=0.25", "--schedule.kind=plateau", "--schedule.patience=0",
                 "--schedule.gamma=0.5", "--data.virtual_ranks=4"]
        _, whole = self.go("whole", *words)
        steps = whole.events("end")[-1]["step"]
        ends = range(5, steps, 6)  # within epochs of 7 steps, and at their ends
        for number, end in enumerate([*ends, None]):
            result = program.run("train", self.deck, f"--run.output={self.folder / 'parts'}", *words,
                                 *([] if end is None else [f"--train.steps={end}"]), ranks=1 + number % 3)
            self.assertEqual(result.code, 0, result.text)
        parts = program.RunFolder(self.folder / "parts")
        self.assertEqual(parts.digest(), whole.digest())
        lr = lambda run: [(e["step"], e["lr"]) for e in run.events("step")]  # noqa: E731
        self.assertEqual(lr(parts), lr(whole))
        self.assertGreater(len({value for _, value in lr(whole)}), 2)
        self.assertEqual(parts.events("end")[-1]["best"], whole.events("end")[-1]["best"])
        with h5py.File(parts.path / "checkpoints" / "best.h5") as found, h5py.File(whole.path / "checkpoints" / "best.h5") as expected:
            np.testing.assert_array_equal(found["model/head.weight"][...], expected["model/head.weight"][...])

    def test_the_plateau_schedule_is_pytorchs(self):
        _, folder = self.go("plateau", "--optimizer.lr=0.2", "--schedule.kind=plateau", "--schedule.patience=1", "--schedule.cooldown=1", "--schedule.gamma=0.3",
                            "--schedule.threshold=0.02", "--schedule.final=0.05", "--train.epochs=25")
        lr, best, bad, cooldown, expected = 0.2, float("inf"), 0, 0, []
        for _, value in self.validated(folder):  # ReduceLROnPlateau.step
            expected.append(lr)
            if value < best * (1 - 0.02):
                best, bad = value, 0
            else:
                bad += 1
            if cooldown > 0:
                cooldown, bad = cooldown - 1, 0
            if bad > 1:
                lr, cooldown, bad = max(lr * 0.3, 0.01), 1, 0
        found = {e["epoch"]: e["lr"] for e in folder.events("step")}
        np.testing.assert_allclose([found[epoch] for epoch in range(1, 26)], expected, rtol=1e-12)
        self.assertGreater(len(set(expected)), 2)

    def test_refusals(self):
        self.refused("train.best", "did you mean 'loss'?", words=["--train.best=min:los"])
        self.refused("max:quality or min:quality", words=["--train.best=quality"])
        self.refused("no metric 'accuracy'", words=["--train.best=accuracy"])
        self.refused("train.patience = 3 needs train.best", words=["--train.patience=3"])
        self.refused("METRIC>=VALUE", words=["--train.target=loss"])
        self.refused("needs evaluations", "data.validation", words=["--train.best=loss", "--data.validation="])
        self.refused("needs evaluations", words=["--schedule.kind=plateau", "--train.evaluate_every=0"])
        self.refused("out of range", words=["--data.validation=1.5"])
        result = program.run("train", self.deck, f"--run.output={self.folder / 'refused'}", "--data.validation=0.001")
        self.assertEqual(result.code, 3, result.text)
        self.assertIn("holds out 0", result.text)
        _, folder = self.go("none", "--train.epochs=1")
        result = program.run("evaluate", folder.path, "--best", f"--data={self.other}")
        self.assertEqual(result.code, 4, result.text)
        self.assertIn("train.best", result.text)


if __name__ == "__main__":
    program.main()
