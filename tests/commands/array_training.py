#!/usr/bin/env python3
"""Training from [array NAME] sections: the same bits on any number of ranks, means of the data, rollouts, and several inputs."""

from arrays_test import CONV, FORECAST, TRAINED, TrainedArraysTest, h5py, np, program


class Trained(TrainedArraysTest):
    def test_the_same_bits_on_any_number_of_ranks_and_through_restarts(self):
        one = self.trained("one")
        for ranks in (2, 3):
            self.assertEqual(self.trained(f"on{ranks}", ranks=ranks).digest(), one.digest())
        # Stopped in the middle of an epoch: 1 -> 3 -> 2 ranks.
        self.trained("cut", "--train.steps=3")
        self.trained("cut", "--train.steps=7", ranks=3)
        self.assertEqual(self.trained("cut", ranks=2).digest(), one.digest())

    def test_means_of_the_training_data(self):
        run = self.trained("auto", ranks=2)
        deck = (run.path / "deck.ini").read_text().split("[array features]")[1]
        features = np.concatenate([year for year in self.years])
        numbers = [float(x) for x in deck.split("mean = ")[1].splitlines()[0].split(",")]
        # Each time step once for each place that it has in a window.
        counted = [np.concatenate([year[:-2], year[1:-1]]) for year in self.years]
        np.testing.assert_allclose(numbers, np.concatenate(counted).mean(axis=(0, 2, 3), dtype="f8"), rtol=1e-12)
        deviations = [float(x) for x in deck.split("std = ")[1].splitlines()[0].split(",")]
        np.testing.assert_allclose(deviations, np.concatenate(counted).astype("f8").std(axis=(0, 2, 3)), rtol=1e-12)
        self.assertEqual(len(features), 34)
        # The loss is in units of std, the error and the predictions are in the file's.
        self.ok("predict", run.path, "--out", run.path / "out.h5")
        with h5py.File(run.path / "out.h5") as file:
            predicted = file["output"][()][:-1]
        truth = self.years[0][2:, 0:2].astype("f8")
        test = run.events("end")[-1]["test"]
        self.assertAlmostEqual(test["mae"], np.abs(predicted - truth).mean(), delta=1e-10)
        label_std = [float(x) for x in (run.path / "deck.ini").read_text().split("[array labels]")[1].split("std = ")[1].splitlines()[0].split(",")]
        self.assertAlmostEqual(test["loss"], np.mean((2 * (predicted - truth) / np.array(label_std)[:, None, None]) ** 2), delta=1e-10)

    def test_a_rollout_feeds_predictions_back(self):
        arrays = FORECAST.replace("data = /fields\nwindow = -1..0", "data = /fields[:, 0:2, :, :]\naxes = time, channel, y, x\nwindow = -1..0")
        run = self.trained("rolled", arrays=arrays, model=CONV.replace("6x4x6", "4x4x6"))
        for ranks in (1, 2):
            self.ok("predict", run.path, "--rollout", 3, "--out", self.folder / f"r{ranks}.h5", ranks=ranks)
        with h5py.File(self.folder / "r1.h5") as a, h5py.File(self.folder / "r2.h5") as b:
            rolled = a["output"][()]
            np.testing.assert_array_equal(rolled, b["output"][()])
        # The same by hand: a file whose newest time steps are predictions.
        first = self.years[0][:2, 0:2].astype("f8")
        for step in range(3):
            path = self.file("hand/hand.h5", fields=np.concatenate([first[-2:], np.zeros((2, 1, 4, 6))], axis=1))
            self.ok("predict", run.path, "--data", path, "--out", self.folder / "hand.out.h5", "--force")
            with h5py.File(self.folder / "hand.out.h5") as file:
                (output,) = file["output"][()]
            np.testing.assert_allclose(rolled[0, 2 * step:2 * step + 2], output, rtol=1e-11)
            first = np.concatenate([first, output[None]])
        for overrides, part in ((["--array.labels.window=2"], "must be 1"), (["--array.labels.data=/other"], "no input of the network"), (["--rollout=0"], "out of range")):
            words = ["predict", run.path, "--out", self.folder / "no.h5", *(["--rollout=2"] if "--rollout=0" not in overrides else []), *overrides]
            result = program.run(*words)
            self.assertEqual(result.code, 2, result.text)
            self.assertIn(part, result.text)

    def test_missing_numbers_and_validation_with_means_of_the_data(self):
        with h5py.File(self.folder / "y0.h5", "a") as file:
            file["fields"][3, 1, 2, 2] = np.nan
        arrays = FORECAST.replace("[:, 0:2, :, :]", "[:, 0:1, :, :]")
        model = CONV.replace("out=2 kernel=1", "out=1 kernel=1")
        result = program.run("train", self.write_deck(TRAINED.format(folder=self.folder, run="gaps", arrays=arrays, model=model)))
        self.assertEqual(result.code, 3, result.text)
        self.assertIn("row 2", result.text)
        deck = self.write_deck(TRAINED.format(folder=self.folder, run="filled", arrays=arrays, model=model))
        text = self.ok("train", deck, "--data.missing=mean", "--data.validation=0.2", "--train.best=mae").text
        self.assertIn("windows of neighboring samples share time steps", text)
        run = program.RunFolder(self.folder / "filled")
        self.assertTrue((run.path / "checkpoints" / "best.h5").exists())
        self.assertEqual(self.trained("filled2", "--data.missing=mean", "--data.validation=0.2", arrays=arrays, model=model, ranks=2).digest(), run.digest())

    def test_a_grid_reads_the_same(self):
        one = self.trained("whole", "--data.virtual_ranks=0")
        for ranks, axis in ((2, "--parallel.spatial=2x1"), (2, "--parallel.tensor=2"), (4, "--parallel.spatial=2x2")):
            other = self.trained(axis.strip("-"), "--data.virtual_ranks=0", axis, ranks=ranks)
            for step, loss in one.losses().items():
                self.assertAlmostEqual(other.losses()[step], loss, delta=1e-9 * abs(loss), msg=axis)

    def test_several_inputs(self):
        with h5py.File(self.folder / "static.h5", "w") as file:
            file["height"] = self.normal(4, 6)
        arrays = f"""[array state]
data = /fields
axes = time, channel, y, x
[array static]
data = /height
axes = y, x
file = {self.folder}/static.h5
[array labels]
data = /fields[:, 0:2, :, :]
axes = time, channel, y, x
window = 1
"""
        model = ("input = state:3x4x6, static:1x4x6\nlayer = conv name=a from=state out=4 kernel=3 padding=1\n"
                 "layer = conv name=b from=static out=4 kernel=3 padding=1\nlayer = add from=a,b\nlayer = tanh\nlayer = conv out=2 kernel=1")
        joined = arrays.replace("[array state]\ndata = /fields\naxes = time, channel, y, x\n[array static]", "[array features]")
        del joined
        one = self.trained("inputs", arrays=arrays, model=model)
        self.assertEqual(self.trained("inputs2", arrays=arrays, model=model, ranks=2).digest(), one.digest())
        split = self.trained("inputs-split", "--data.virtual_ranks=0", "--optimizer.lr=0.001", "--parallel.spatial=2x1", arrays=arrays, model=model, ranks=2)
        whole = self.trained("inputs-whole", "--data.virtual_ranks=0", "--optimizer.lr=0.001", arrays=arrays, model=model)
        for step, loss in whole.losses().items():
            self.assertAlmostEqual(split.losses()[step], loss, delta=1e-9 * abs(loss))
        for text, parts in [(model.replace("static:1", "static:2"), ("[array static] has 1 channels", "static:1x4x6")),
                            (model.replace("from=state ", "", 1), ("the first layer names none",)), (model.replace("static:1x4x6", "static:1x4x5"), ("different pixels",))]:
            result = program.run("train", self.write_deck(TRAINED.format(folder=self.folder, run="bad", arrays=arrays, model=text), "bad.ini"))
            self.assertIn(result.code, (2, 3))
            for part in parts:
                self.assertIn(part, result.text)


if __name__ == "__main__":
    program.main()
