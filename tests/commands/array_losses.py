#!/usr/bin/env python3
"""Several losses, each of its own array of targets: values and metrics as numpy computes them, and targets that a loss cannot take."""

from arrays_test import TRAINED, TrainedArraysTest, h5py, np, program


class SeveralLosses(TrainedArraysTest):
    def test_several_losses(self):
        for number, year in enumerate(self.years):
            with h5py.File(self.folder / f"y{number}.h5", "a") as file:
                file["kind"] = self.draw.integers(0, 3, (len(year), 4, 6))
        arrays = """[array features]
data = /fields
axes = time, channel, y, x
[array next]
data = /fields[:, 0:2, :, :]
axes = time, channel, y, x
window = 1
mean = auto
std = auto
[array kind]
data = /kind
axes = time, y, x
[loss size]
kind = mse
of = fields
target = next
weight = 0.5
[loss far]
kind = mae
of = fields
target = next
weight = 0.25
[loss what]
of = classes
target = kind
weight = 2
"""
        model = ("input = 3x4x6\nlayer = conv name=body out=4 kernel=3 padding=1\nlayer = tanh name=bent\nlayer = conv name=fields from=bent out=2 kernel=1\n"
                 "layer = conv name=classes from=bent out=3 kernel=1")
        text = TRAINED.replace("[loss]\nkind = mse\n", "")

        def trained(run, *overrides, ranks=1):
            self.ok("train", self.write_deck(text.format(folder=self.folder, run=run, arrays=arrays, model=model), f"{run}.ini"), *overrides, ranks=ranks)
            return program.RunFolder(self.folder / run)

        one = trained("terms")
        self.assertEqual(trained("terms3", ranks=3).digest(), one.digest())
        trained("terms-cut", "--train.steps=5", ranks=2)
        self.assertEqual(trained("terms-cut").digest(), one.digest())
        whole = trained("terms-whole", "--data.virtual_ranks=0")
        for axis in ("--parallel.spatial=2x1", "--parallel.pipeline=2"):
            other = trained(axis.strip("-"), "--data.virtual_ranks=0", axis, ranks=2)
            for step, loss in whole.losses().items():
                self.assertAlmostEqual(other.losses()[step], loss, delta=1e-9 * abs(loss), msg=axis)
        self.ok("predict", one.path, "--out", self.folder / "terms.h5")
        with h5py.File(self.folder / "terms.h5") as file:
            output = file["output"][()][:-1]
        numbers = (one.path / "deck.ini").read_text().split("[array next]")[1].split("std = ")[1].splitlines()[0]
        error = (output[:, :2] - self.years[0][1:, 0:2]) / np.array([float(x) for x in numbers.split(",")])[:, None, None]
        with h5py.File(self.folder / "y0.h5") as file:
            kind = file["kind"][()][:-1]
        scores = output[:, 4:] - output[:, 4:].max(axis=1, keepdims=True)
        entropy = np.log(np.exp(scores).sum(axis=1)) - np.take_along_axis(scores, kind[:, None], axis=1)[:, 0]
        test = one.events("end")[-1]["test"]
        self.assertAlmostEqual(test["size"]["loss"], np.mean(error ** 2), delta=1e-10)
        self.assertAlmostEqual(test["far"]["loss"], np.mean(np.abs(error)), delta=1e-10)
        self.assertAlmostEqual(test["what"]["loss"], entropy.mean(), delta=1e-10)
        self.assertAlmostEqual(test["loss"], 0.5 * np.mean(error ** 2) + 0.25 * np.mean(np.abs(error)) + 2 * entropy.mean(), delta=1e-10)
        self.assertAlmostEqual(test["what"]["accuracy"], np.mean(output[:, 4:].argmax(axis=1) == kind), delta=1e-12)
        self.assertAlmostEqual(test["size"]["mae"], np.mean(np.abs(output[:, :2] - self.years[0][1:, 0:2])), delta=1e-10)
        for old, new, parts in [("of = classes", "of = nothing", ("names no earlier layer",)), ("target = kind", "target = next", ("[array kind] is not used",)),
                                ("of = classes\n", "", ("loss.what.of is missing",)), ("weight = 2", "weight = 2\nignore = 0", ("single [loss]",))]:
            deck = self.write_deck(text.format(folder=self.folder, run="bad", arrays=arrays.replace(old, new), model=model), "bad.ini")
            result = program.run("train", deck)
            self.assertIn(result.code, (2, 3), result.text)
            for part in parts:
                self.assertIn(part, result.text)

    def test_targets_that_a_loss_cannot_take(self):
        masks, kinds = self.draw.random((12, 1, 4, 6)), self.draw.integers(0, 3, (12, 4, 6))
        arrays = """[array features]
data = /x
[array mask]
data = /m
[array kind]
data = /k
axes = sample, y, x
[loss inside]
kind = {kind}
of = yes
target = mask
[loss what]
of = classes
target = kind
"""
        model = ("input = 3x4x6\nlayer = conv name=body out=4 kernel=1\nlayer = conv name=yes from=body out=1 kernel=1\n"
                 "layer = conv name=classes from=body out=3 kernel=1")
        text = TRAINED.replace("[loss]\nkind = mse\n", "").replace("y*.h5", "z.h5").replace("y0.h5", "z.h5")

        def run(kind, *words, ranks=1, m=masks, k=kinds):
            self.runs += 1
            self.file("z.h5", x=self.normal(12, 3, 4, 6), m=m, k=k)
            deck = self.write_deck(text.format(folder=self.folder, run=f"range{self.runs}", arrays=arrays.format(kind=kind), model=model), "range.ini")
            return program.run("train", deck, *words, ranks=ranks)

        def with_one(array, value):
            changed = array.astype("f8")
            changed.reshape(len(changed), -1)[7, 5] = value
            return changed

        for kind in ("dice", "bce_with_logits", "focal"):
            self.assertEqual(run(kind).code, 0)
            for value in (1.5, -0.25):
                for words, ranks in (((), 1), (("--dry-run", "--full"), 1), (("--data.virtual_ranks=0", "--parallel.spatial=2x1"), 2)):
                    result = run(kind, *words, ranks=ranks, m=with_one(masks, value))
                    self.assertEqual(result.code, 3, result.text)
                    for part in ("row 7", "/m", f"{value:g}", f"[loss inside] kind = {kind}", "from 0 to 1"):
                        self.assertIn(part, result.text)
        for value in (3, -1, 0.5, float("nan")):
            result = run("dice", k=with_one(kinds, value))
            self.assertEqual(result.code, 3, result.text)
            for part in ("row 7", "[loss what] kind = cross_entropy", "from 0 to 2") if value == value else ("row 7", "NaN"):
                self.assertIn(part, result.text)
        result = run("dice", "--loss.kind=mae")
        self.assertEqual(result.code, 2, result.text)
        self.assertIn("loss.kind = mae has no effect beside [loss NAME] sections", result.text)


if __name__ == "__main__":
    program.main()
