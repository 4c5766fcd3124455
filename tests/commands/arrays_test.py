"""Decks and comparisons that the tests of [array NAME] share."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import with_h5py  # noqa: E402, F401
import program  # noqa: E402

import h5py  # noqa: E402
import numpy as np  # noqa: E402

# The network is the identity, so predictions are the features, and the loss is the mean squared difference of features and labels.
DECK = """
[run]
output = {folder}/{run}
[data]
train = {train}
test = {test}
batch = 5
{data}
{arrays}
[model]
input = {input}
layer = dropout p=0
[loss]
kind = mse
[train]
precision = fp64
epochs = 0
"""


class ArraysTest(program.ProgramTest):
    def setUp(self):
        if h5py is None:
            raise unittest.SkipTest("h5py is not here to write HDF5")
        super().setUp()
        self.draw = np.random.default_rng(20261130)
        self.runs = 0

    def file(self, name, **sets):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            for key, value in sets.items():
                file[key] = value
        return path

    def normal(self, *shape):
        return self.draw.normal(size=shape)

    def deck(self, train, shape, arrays, data="", test=None):
        self.runs += 1
        text = DECK.format(folder=self.folder, run=f"run{self.runs}", train=train, test=test or train, data=data, arrays=arrays, input="x".join(map(str, shape)))
        return self.write_deck(text, f"run{self.runs}.ini")

    def check(self, train, arrays, x, y, data="", test=None, ranks=(1, 2, 3), splits=True, all_x=None):
        """x, y: (n, channels, pixels...), what the deck must read from `test`; all_x: also the samples without labels, for predictions."""
        self.assertEqual(x.shape, y.shape)
        deck = self.deck(train, x.shape[1:], arrays, data, test)
        self.ok("train", deck)
        run = self.folder / f"run{self.runs}"
        loss = np.mean((x.astype("f8") - y.astype("f8")) ** 2)
        for count in ranks:
            self.ok("predict", run, "--out", run / f"out{count}.h5", ranks=count)
            with h5py.File(run / f"out{count}.h5") as file:
                np.testing.assert_array_equal(file["output"][()], x if all_x is None else all_x)
            found = self.ok("evaluate", run, "--json", ranks=count).json()["loss"]
            self.assertAlmostEqual(found, loss, delta=1e-12 * max(1, loss), msg=f"labels on {count} ranks")
        if splits and x.ndim > 2:
            spatial = "x".join(["2"] + ["1"] * (x.ndim - 3))
            self.ok("train", deck, f"--run.output={run}-split", f"--parallel.spatial={spatial}", ranks=2)
            self.assertAlmostEqual(program.RunFolder(f"{run}-split").events("end")[-1]["test"]["loss"], loss, delta=1e-12 * max(1, loss))

    def refused(self, train, shape, arrays, *parts, data="", code=3):
        result = program.run("train", self.deck(train, shape, arrays, data))
        self.assertEqual(result.code, code, result.text)
        for part in parts:
            self.assertIn(part, result.text)


TRAINED = """
[run]
output = {folder}/{run}
[data]
train = {folder}/y*.h5
test = {folder}/y0.h5
batch = 6
virtual_ranks = 6
cache = 0
{arrays}
[model]
{model}
[loss]
kind = mse
[optimizer]
lr = 0.05
[train]
precision = fp64
epochs = 2
log_every = 1
[checkpoint]
every = 2
"""
FORECAST = """[array features]
data = /fields
window = -1..0
mean = auto
std = auto
[array labels]
data = /fields[:, 0:2, :, :]
axes = time, channel, y, x
window = 1
scale = 2
mean = auto
std = auto
"""
CONV = "input = 6x4x6\nlayer = conv out=4 kernel=3 padding=1\nlayer = tanh\nlayer = conv out=2 kernel=1"


class TrainedArraysTest(ArraysTest):
    def setUp(self):
        super().setUp()
        self.years = [(5 + 10 * self.normal(n, 3, 4, 6) * [[[1]], [[2]], [[3]]]).astype("f4") for n in (14, 9, 11)]
        for number, year in enumerate(self.years):
            self.file(f"y{number}.h5", fields=year)

    def trained(self, run, *overrides, arrays=FORECAST, model=CONV, ranks=1):
        self.ok("train", self.write_deck(TRAINED.format(folder=self.folder, run=run, arrays=arrays, model=model), f"{run}.ini"), *overrides, ranks=ranks)
        return program.RunFolder(self.folder / run)
