#!/usr/bin/env python3
"""What the numbers in files mean: order of axes, netCDF's attributes, moments; and what no loss can learn from."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import with_h5py  # noqa: E402, F401
import program  # noqa: E402

import h5py  # noqa: E402
import numpy as np  # noqa: E402

DECK = """
[run]
output = {folder}/{run}
[data]
train = {train}
test = {test}
batch = 8
{data}
[model]
input = {input}
{layers}
[loss]
kind = {loss}
[optimizer]
lr = {lr}
[train]
epochs = {epochs}
log_every = 1
"""
CONV = "layer = conv out=3 kernel=3 padding=1\nlayer = relu\nlayer = conv out=2 kernel=1"
POOLED = "layer = conv out=1 kernel=1\nlayer = global_avg_pool"


class ValuesTest(program.ProgramTest):
    def setUp(self):
        if h5py is None:
            raise unittest.SkipTest("h5py is not here to write HDF5")
        super().setUp()
        self.draw = np.random.default_rng(7)

    def shard(self, name, attributes=(), **sets):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            for key, value in sets.items():
                file[key] = value
            for key, attribute, value in attributes:
                file[key].attrs[attribute] = value
        return path

    def deck(self, train, run="run", test=None, data="", input="3x6x5", layers=CONV, loss="mse", lr=0.05, epochs=2):
        text = DECK.format(folder=self.folder, run=run, train=train, test=test or train, data=data, input=input, layers=layers, loss=loss, lr=lr, epochs=epochs)
        return self.write_deck(text, f"{run}.ini")

    def digest(self, *arguments, ranks=1, overrides=(), **keys):
        run = keys.setdefault("run", f"run{len(list(self.folder.glob('*.ini')))}")
        self.ok("train", self.deck(*arguments, **keys), *overrides, ranks=ranks)
        return program.RunFolder(self.folder / run).digest()

    def refused(self, words, *parts, code=3, ranks=1):
        result = program.run(*words, ranks=ranks)
        self.assertEqual(result.code, code, result.text)
        for part in parts:
            self.assertIn(part, result.text)
        return result


class Axes(ValuesTest):
    def test_every_order_of_axes_gives_the_same_bits(self):
        x, y = self.draw.normal(size=(20, 3, 6, 5)).astype("f4"), self.draw.normal(size=(20, 2, 6, 5)).astype("f4")
        plain = self.shard("plain.h5", x=x, y=y)
        last = self.shard("last.h5", x=x.transpose(0, 2, 3, 1), y=y.transpose(0, 2, 3, 1))
        turned = self.shard("turned.h5", x=x.transpose(0, 3, 1, 2), y=y.transpose(0, 3, 2, 1))
        for number in range(20):
            self.shard(f"single/{number:02}.h5", x=x[number].transpose(1, 2, 0), y=y[number].transpose(1, 2, 0))
        channels_last = "axes = y, x, channel\nlabel_axes = y, x, channel"
        for ranks, grid, cache in ((1, (), 64), (2, ("--parallel.spatial=2x1",), 0), (2, ("--parallel.spatial=1x2",), 64), (2, (), 0)):
            overrides = (*grid, f"--data.cache={cache}")
            wanted = self.digest(plain, ranks=ranks, overrides=overrides)
            self.assertEqual(wanted, self.digest(last, data=channels_last, ranks=ranks, overrides=overrides))
            self.assertEqual(wanted, self.digest(turned, data="axes = sample, x, channel, y\nlabel_axes = lon, lat, channel", ranks=ranks, overrides=overrides))
            self.assertEqual(wanted, self.digest(self.folder / "single", data=channels_last, ranks=ranks, overrides=overrides))

    def test_another_order_is_refused_with_the_remedy(self):
        x, y = self.draw.normal(size=(20, 6, 5, 3)).astype("f4"), self.draw.normal(size=(20, 2, 6, 5)).astype("f4")
        last = self.shard("last.h5", x=x, y=y)
        self.refused(("train", self.deck(last), "--dry-run"), "(20, 6, 5, 3)", "3x6x5", "data.axes = y, x, channel")
        labels = self.shard("labels.h5", x=x.transpose(0, 3, 1, 2), y=y.transpose(0, 2, 3, 1))
        self.refused(("train", self.deck(labels), "--dry-run"), "(20, 6, 5, 2)", "2x6x5", "data.label_axes = y, x, channel")
        self.refused(("train", self.deck(last, data="axes = x, y, channel"), "--dry-run"), "3x5x6", "3x6x5")
        self.refused(("train", self.deck(last, data="axes = y, channel"), "--dry-run"), "(20, 6, 5, 3)", "2 axes")
        self.refused(("train", self.deck(last, data="axes = y, x, chanel"), "--dry-run"), "'chanel'", code=2)
        self.refused(("inspect", last, "--statistics", "--model.input=3x6x5", "--data.labels="), "'y, x, channel'")
        statistics = self.ok("inspect", last, "--statistics", "--data.axes=y,x,channel", "--data.labels=", "--json", ranks=2).json()["statistics"]
        np.testing.assert_allclose(statistics["mean"], x.astype("f8").mean((0, 1, 2)), rtol=1e-6)
        self.ok("train", self.deck(self.shard("flat.h5", x=x.reshape(20, 90), y=y)), "--dry-run")

    def test_a_hint_keeps_the_number_of_samples(self):
        for number in range(3):
            self.shard(f"single/{number}.h5", x=self.draw.normal(size=(6, 8, 4)).astype("f4"), y=self.draw.normal(size=(6, 8)).astype("f4"))
        result = self.refused(("train", self.deck(self.folder / "single", input="4x6x8", layers="layer = conv out=1 kernel=1"), "--dry-run"),
                              "(6, 8, 4)", "data.axes = y, x, channel")
        self.assertNotIn("input = 8x4", result.text)
        self.ok("train", self.deck(self.folder / "single", input="4x6x8", layers="layer = conv out=1 kernel=1", data="axes = y, x, channel"))


class Refusals(ValuesTest):
    def test_targets_outside_of_the_loss(self):
        x, mask = self.draw.normal(size=(20, 3, 4, 4)).astype("f4"), np.zeros((20, 4, 4), "u1")
        mask[13, 2, 1] = 255
        head = "layer = conv out=1 kernel=1"
        good = np.zeros((20, 4, 4), "f4")
        for kind in ("bce", "bce_with_logits"):
            sigmoid = "\nlayer = sigmoid" if kind == "bce" else ""
            for bad, value in ((mask, "255"), (-(mask > 0).astype("i2"), "-1"), (np.where(mask > 0, 1.5, 0).astype("f4"), "1.5")):
                for ranks in (1, 2):
                    deck = self.deck(self.shard("masks.h5", x=x, y=bad), input="3x4x4", layers=head + sigmoid, loss=kind)
                    self.refused(("train", deck), "masks.h5", "row 13 ", "'/y'", value, "value 9 of 16", f"loss.kind = {kind}", ranks=ranks)
            self.ok("train", self.deck(self.shard("good.h5", x=x, y=good), input="3x4x4", layers=head + sigmoid, loss=kind, run=kind))
            self.refused(("evaluate", self.folder / kind, "--data", self.folder / "masks.h5"), "row 13 ", "1.5")

    def test_features_as_targets_of_bce(self):
        x = self.draw.integers(0, 256, (12, 2, 4, 4)).astype("u1")
        x[5, 1, 2, 3] = 250
        deck = self.deck(self.shard("x.h5", x=x), data="target = features\nscale = 1/255", input="2x4x4", layers="layer = conv out=2 kernel=1\nlayer = sigmoid", loss="bce")
        self.ok("train", deck)
        self.refused(("train", deck, "--data.scale=1/245", f"--run.output={self.folder}/other"), "'/x'", "becomes 1.0", "loss.kind = bce")

    def test_numbers_are_finite_after_the_cast(self):
        x, y = self.draw.normal(size=(20, 5)), self.draw.normal(size=20)
        good = self.shard("good.h5", x=x, y=y)
        bad = x.copy()
        bad[11, 3] = 1e60
        wrong = self.shard("bad.h5", x=bad, y=y)
        linear = "layer = linear name=head out=1"
        self.refused(("train", self.deck(wrong, input="5", layers=linear)), "row 11 ", "1e+60", "value 3 of 5", "fp32", ranks=2)
        self.ok("train", self.deck(wrong, input="5", layers=linear, data="scale = 1e-60"), "--train.precision=fp64")
        self.ok("train", self.deck(good, input="5", layers=linear, run="good"))
        self.refused(("evaluate", self.folder / "good", "--data", wrong), "row 11 ", "1e+60")
        self.refused(("predict", self.folder / "good", "--data", wrong, "--out", self.folder / "out.h5"), "row 11 ", "1e+60")
        targets = y.copy()
        targets[2] = np.nan
        for kind in ("mse", "mae"):
            self.refused(("train", self.deck(self.shard("nan.h5", x=x, y=targets), input="5", layers=linear, loss=kind, run=kind)), "row 2 ", "'/y'", "NaN")

    def test_a_dry_run_scans_everything(self):
        x, y = self.draw.normal(size=(40, 5)), self.draw.integers(0, 3, 40)
        train = self.shard("train.h5", x=x, y=y)
        test_x, test_y = x.copy(), y.copy()
        test_x[7, 2], test_x[31, 0], test_y[9] = np.nan, 1e60, 3
        test = self.shard("test.h5", x=test_x, y=test_y)
        deck = self.deck(train, test=test, input="5", layers="layer = linear out=3", loss="cross_entropy")
        self.ok("train", deck, "--dry-run")
        for ranks in (1, 3):
            self.refused(("train", deck, "--dry-run", "--full"), "3 rows", "row 7 ", "row 31 ", "row 9 ", "test.h5", ranks=ranks)
        self.assertFalse((self.folder / "run").exists())
        self.ok("train", deck, "--dry-run", "--full", f"--data.test={train}", ranks=2)


class NetcdfFiles(ValuesTest):
    def setUp(self):
        super().setUp()
        self.values = np.round(100 * (280 + 10 * self.draw.normal(size=(30, 1, 4, 4)))) / 100
        self.packed = np.round((self.values - 273.15) / 0.01).astype("i2")
        self.labels = self.values.mean((1, 2, 3)) - 280
        self.keys = dict(input="1x4x4", layers=POOLED, data="mean = 280\nstd = 10")
        self.attributes = [("x", "scale_factor", 0.01), ("x", "add_offset", np.array([273.15])), ("x", "_FillValue", np.int16(-32767))]


class NetCdf(NetcdfFiles):
    def test_packed_numbers_are_unpacked(self):
        packed = self.shard("packed.nc", self.attributes, x=self.packed, y=self.labels)
        other = self.shard("other.nc", [("x", "scale_factor", 0.02), ("x", "add_offset", 273.15), ("x", "_FillValue", np.int16(-32767))], x=self.packed // 2, y=self.labels)
        plain = self.shard("plain.h5", x=self.packed * 0.01 + 273.15, y=self.labels)
        both = self.shard("both.h5", x=np.concatenate([self.packed // 2 * 0.02 + 273.15, self.packed * 0.01 + 273.15]), y=np.tile(self.labels, 2))
        for ranks in (1, 2):
            for grid in ((), ("--parallel.spatial=2x1",)) if ranks == 2 else ((),):
                self.assertEqual(self.digest(packed, ranks=ranks, overrides=grid, **self.keys), self.digest(plain, ranks=ranks, overrides=grid, **self.keys))
        self.assertEqual(self.digest(f"{other},{packed}", **self.keys), self.digest(both, **self.keys))
        raw = self.digest(packed, overrides=("--data.netcdf=false",), **self.keys)
        self.assertEqual(raw, self.digest(self.shard("raw.h5", x=self.packed, y=self.labels), **self.keys))

    def test_missing_numbers_are_refused_or_the_mean(self):
        self.packed[17, 0, 2, 1] = -32767
        packed = self.shard("packed.nc", self.attributes, x=self.packed, y=self.labels)
        for ranks in (1, 2):
            self.refused(("train", self.deck(packed, **self.keys)), "packed.nc", "row 17 ", "missing value", "value 9 of 16", "data.missing = mean",
                         ranks=ranks)
        filled = self.packed * 0.01 + 273.15
        filled[17, 0, 2, 1] = 280
        plain = self.shard("plain.h5", x=filled, y=self.labels)
        keys = {**self.keys, "data": self.keys["data"] + "\nmissing = mean"}
        self.assertEqual(self.digest(packed, **keys), self.digest(plain, **self.keys))
        self.ok("predict", self.folder / "run2", "--data", packed, "--out", self.folder / "out.h5", "--data.missing=mean")
        floats = self.shard("floats.nc", [("x", "missing_value", np.float32(1e20))], x=np.where(self.packed == -32767, 1e20, filled).astype("f4"), y=self.labels)
        self.refused(("train", self.deck(floats, **self.keys)), "row 17 ", "missing value")
        summary = self.ok("inspect", packed, "--statistics", "--data.labels=", "--json", ranks=2).json()
        kept = (self.packed * 0.01 + 273.15)[self.packed != -32767]
        self.assertEqual(summary["features"]["missing"], 1)
        self.assertAlmostEqual(summary["statistics"]["mean"][0], kept.mean(), places=9)
        self.assertAlmostEqual(summary["statistics"]["std"][0], kept.std(), places=9)

    def test_valid_ranges_and_labels(self):
        ranged = self.shard("ranged.nc", [("x", "valid_range", np.array([-3000, 3000], "i2"))], x=np.clip(self.packed, -2999, 2999), y=self.labels)
        self.ok("train", self.deck(ranged, **{**self.keys, "data": "scale = 0.001"}))
        with h5py.File(ranged, "a") as file:
            file["x"][4, 0, 0, 0] = 3001
        self.refused(("train", self.deck(ranged, run="again", **self.keys)), "row 4 ", "missing value", "value 0 of 16")
        labels = self.shard("labels.nc", [("y", "_FillValue", -1)], x=self.values, y=np.where(np.arange(30) == 21, -1, 0))
        deck = self.deck(labels, run="classes", **{**self.keys, "layers": "layer = flatten\nlayer = linear out=2"}, loss="cross_entropy")
        self.refused(("train", deck), "row 21 ", "'/y'", "missing value")
        broken = self.shard("broken.nc", [("x", "scale_factor", np.ones(9))], x=self.packed, y=self.labels)
        self.refused(("train", self.deck(broken, **self.keys)), "scale_factor", "data.netcdf = false")


class Restarts(NetcdfFiles):
    def change(self, path, **attributes):
        """None deletes an attribute."""
        with h5py.File(path, "a") as file:
            for name, value in attributes.items():
                if name in file["x"].attrs:
                    del file["x"].attrs[name]
                if value is not None:
                    file["x"].attrs[name] = value

    def test_attributes_that_change_between_starts(self):
        keys = {**self.keys, "epochs": 4}
        for number, change in enumerate(({"scale_factor": 0.02}, {"add_offset": 0.0}, {"_FillValue": np.int16(-1)}, {"missing_value": np.int16(9999)},
                                         {"valid_range": np.array([-9999, 9999], "i2")}, {"valid_min": np.int16(-9999)}, {"_FillValue": None, "valid_max": np.int16(32000)})):
            for steps, said in ((6, "middle of epoch 2"), (8, "finished")):  # 4 steps an epoch
                with self.subTest(change=change, steps=steps):
                    packed = self.shard(f"packed{number}-{steps}.nc", self.attributes, x=self.packed, y=self.labels)
                    deck = self.deck(packed, run=f"run{number}-{steps}", **keys)
                    self.ok("train", deck, f"--train.steps={steps}")
                    self.change(packed, units="K")  # means nothing here
                    self.ok("train", deck, f"--train.steps={steps}")
                    self.change(packed, **change)
                    self.refused(("train", deck, "--train.steps=8"), said, "scale_factor", "Hint", code=4)
        # Between two epochs it is said.
        self.assertIn("changed since the checkpoint: attributes of data.train", self.ok("train", deck, "--train.steps=12").text)

    def test_sources_that_change_places(self):
        for number in range(3):
            self.shard(f"part{number}.h5", x=self.values[10 * number:10 * number + 10].astype("f4"), y=self.labels[10 * number:10 * number + 10])

        def join(order):
            with h5py.File(self.folder / "all.h5", "w") as file:
                for name, shape in (("x", (1, 4, 4)), ("y", ())):
                    layout = h5py.VirtualLayout((30, *shape), dtype="f4" if name == "x" else "f8")
                    for place, number in enumerate(order):
                        layout[10 * place:10 * place + 10] = h5py.VirtualSource(f"part{number}.h5", name, shape=(10, *shape))
                    file.create_virtual_dataset(name, layout)

        join((0, 1, 2))
        deck = self.deck(self.folder / "all.h5", **{**self.keys, "epochs": 4})
        self.ok("train", deck, "--train.steps=6")
        join((2, 1, 0))
        self.refused(("train", deck), "middle of epoch 2", "virtual data sets", code=4)
        join((0, 1, 2))
        self.ok("train", deck)
        join((1, 0, 2))
        self.refused(("train", deck), "finished", "virtual data sets", code=4)

    def test_another_type_is_said(self):
        bytes_ = self.shard("bytes.h5", x=self.draw.integers(0, 255, (30, 1, 4, 4)).astype("u1"), y=self.labels)
        floats = self.shard("floats.h5", x=self.draw.random((30, 1, 4, 4)).astype("f4"), y=self.labels)
        doubles = self.shard("doubles.h5", x=self.draw.random((30, 1, 4, 4)), y=self.labels)
        for trained, other, words in ((floats, bytes_, ("are uint8", "were float32")), (bytes_, floats, ("are float32", "were uint8")), (floats, doubles, ())):
            run = f"{trained.stem}-{other.stem}"
            self.ok("train", self.deck(trained, run=run, **{**self.keys, "data": ""}, lr=1e-6))
            for command in (("predict", "--out", self.folder / "out.h5", "--force"), ("evaluate",)):
                for data in (trained, other):
                    err = self.ok(command[0], self.folder / run, "--data", data, *command[1:], ranks=2).err
                    self.assertEqual(err.count("those of the training data"), 1 if data == other and words else 0, err)
                    for word in words if data == other else ():
                        self.assertIn(word, err)

    def test_refusals_of_predict_are_not_about_training(self):
        plain = self.shard("plain.h5", x=self.values.astype("f4"), y=self.labels)
        self.ok("train", self.deck(plain, **self.keys))
        self.values[11, 0, 2, 1] = np.nan
        broken = self.shard("broken.h5", x=self.values.astype("f4"), y=self.labels)
        said = self.refused(("predict", self.folder / "run", "--data", broken, "--out", self.folder / "out.h5"), "row 11 ", "the network needs finite numbers").text
        self.assertNotIn("learn", said)
        self.assertNotIn("training needs", said)


class Preprocessing(ValuesTest):
    def write_csv(self, name, rows):
        path = self.folder / name
        np.savetxt(path, rows, delimiter=",", fmt="%.9g")
        return path

    def outputs(self, run, data):
        out = self.folder / f"{pathlib.Path(data).parent.name}.out.h5"
        said = self.ok("predict", run, "--data", data, "--out", out, ranks=2).text
        with h5py.File(out) as file:
            return file["output"][...], dict(file.attrs), said

    def test_the_training_moments_travel(self):
        x = self.draw.normal(size=(200, 3)) * [1, 20, 300] + [5, 60, 7000]
        rows = np.column_stack([x, x @ [1, 0.1, 0.01] + 400])
        old, new = self.write_csv("old.csv", rows[:120]), self.write_csv("new.csv", rows[120:] + [0.5, 40, 900, 13.5])
        for name, source, options in (("old", old, ("--standardize", "--standardize-targets")), ("own", new, ("--standardize", "--standardize-targets", "--test=0")),
                                      ("raw", new, ("--test=0",))):
            self.ok("shard", "csv", source, "--out", self.folder / name, *options)
        self.ok("train", self.deck(self.folder / "old/train", test=self.folder / "old/test", input="3", layers="layer = linear out=1", epochs=30, lr=0.1))
        own, attributes, said = self.outputs(self.folder / "run", self.folder / "own/train")
        raw, _, _ = self.outputs(self.folder / "run", self.folder / "raw/train")
        self.assertIn("standardized", said)
        np.testing.assert_allclose(own, raw, atol=2e-5)
        predicted = own[:, 0] * attributes["target_deviation"] + attributes["target_mean"]
        np.testing.assert_allclose(predicted, rows[120:, 3] + 13.5, rtol=2e-3)
        losses = [self.ok("evaluate", self.folder / "run", "--data", self.folder / name / "train", "--json").json()["loss"] for name in ("own", "raw")]
        self.assertAlmostEqual(losses[0], losses[1], places=5)
        self.assertLess(losses[0], 1e-4)

    def test_padding_of_crops(self):
        shard = self.shard("x.h5", x=np.full((16, 2, 6, 6), 300, "f4"), y=np.zeros((16, 2, 6, 6), "f4"))
        for fill, zero in (("mean", True), ("edge", True), ("zero", False)):
            deck = self.deck(shard, run=fill, input="2x6x6", layers="layer = conv out=2 kernel=1 bias=false", lr=0,
                             data=f"mean = 300\nstd = 10\ncrop = 2\ncrop_fill = {fill}")
            said = self.ok("train", deck).text
            losses = program.RunFolder(self.folder / fill).losses().values()
            self.assertTrue(all((loss < 1e-9) == zero for loss in losses), losses)
            self.assertEqual("data.crop_fill" in said and "-30" in said, not zero)


if __name__ == "__main__":
    program.main()
