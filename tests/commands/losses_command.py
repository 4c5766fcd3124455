#!/usr/bin/env python3
"""Losses and their gradients against formulas in numpy: classes of pixels, ignored targets, weights; on one rank and on grids."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import with_h5py  # noqa: E402, F401
import program  # noqa: E402

import h5py  # noqa: E402
import numpy as np  # noqa: E402

DECK = """
[run]
output = {run}
[data]
train = {data}
test = {data}
batch = 13
[model]
input = 3x5x6
layer = conv name=head out={out} kernel=1
{more}
[loss]
{keys}
[optimizer]
lr = {lr}
[train]
epochs = 1
precision = fp64
log_every = 1
"""
ROWS, EXTENTS = 13, (5, 6)


def log_softmax(y):
    y = y - y.max(axis=1, keepdims=True)
    return y - np.log(np.exp(y).sum(axis=1, keepdims=True))


def sigmoid(y):
    return 1 / (1 + np.exp(-y))


def softplus(y):
    return np.maximum(y, 0) + np.log1p(np.exp(-np.abs(y)))


def one_hot(t, classes):
    return np.moveaxis(np.eye(classes)[t], -1, 1)


def cross_entropy(y, t, ignore=None, weights=None, smoothing=0.0):
    """torch.nn.functional.cross_entropy with class numbers (n, extents...)."""
    classes = y.shape[1]
    w = np.ones(classes) if weights is None else np.asarray(weights, dtype=float)
    counts = np.ones(t.shape, bool) if ignore is None else t != ignore
    t = np.where(counts, t, 0).astype(int)
    of = w.reshape(1, -1, *[1] * (y.ndim - 2))
    lp = log_softmax(y)
    own = -(one_hot(t, classes) * lp * of).sum(axis=1)
    mean = -(lp * of).sum(axis=1) / classes
    each = (1 - smoothing) * own + smoothing * mean
    return (each * counts).sum() / (w[t] * counts).sum()


def soft_cross_entropy(y, t, weights=None, smoothing=0.0):
    classes = y.shape[1]
    w = np.ones(classes) if weights is None else np.asarray(weights, dtype=float)
    t = (1 - smoothing) * t + smoothing / classes
    return -(t * log_softmax(y) * w.reshape(1, -1, *[1] * (y.ndim - 2))).sum(axis=1).mean()


def masked_mean(each, t, ignore):
    counts = np.ones(t.shape, bool) if ignore is None else ~np.isnan(t) if np.isnan(ignore) else t != ignore
    return each[counts].sum() / counts.sum()


def dice(p, t, counts, smooth):
    axes = tuple(range(2, p.ndim))
    p, t = p * counts, t * counts
    return (1 - (2 * (p * t).sum(axis=axes) + smooth) / ((p + t).sum(axis=axes) + smooth)).mean()


def latitude(poles):
    n = EXTENTS[0]
    w = np.cos(np.pi * ((np.arange(n) / (n - 1)) - 0.5 if poles else (np.arange(n) + 0.5) / n - 0.5))
    w = np.maximum(w, 0)
    return (w / w.mean())[:, None]


def binary_focal(y, t, gamma, alpha):
    p = sigmoid(y)
    each = softplus(y) - y * t
    missed = 1 - (p * t + (1 - p) * (1 - t))
    return ((alpha * t + (1 - alpha) * (1 - t)) * missed**gamma * each).mean()


def class_focal(y, t, gamma, weights, ignore):
    counts = t != ignore
    t = np.where(counts, t, 0)
    lp = (one_hot(t, y.shape[1]) * log_softmax(y)).sum(axis=1)
    return (np.asarray(weights)[t] * -lp * (1 - np.exp(lp)) ** gamma * counts).sum() / counts.sum()


def positive_weight(y, t, weights):
    w = np.reshape(weights, (1, -1, 1, 1))
    return ((1 - t) * y + (1 + (w - 1) * t) * softplus(-y)).mean()


def gaussian(y, t):
    m, v = y[:, : t.shape[1]], np.maximum(y[:, t.shape[1] :], 1e-6)
    return ((np.log(v) + (t - m) ** 2 / v) / 2).mean()


def relative(y, t):
    flat = (len(y), -1)
    return (np.linalg.norm((y - t).reshape(flat), axis=1) / np.linalg.norm(t.reshape(flat), axis=1)).mean()


def huber(y, t, delta):
    d = np.abs(y - t)
    return np.where(d <= delta, d * d / 2, delta * (d - delta / 2)).mean()


class LossFit(program.ProgramTest):
    """Fits one convolution of one pixel to random data."""

    def setUp(self):
        super().setUp()
        self.random = np.random.default_rng(11)
        self.x = self.random.normal(size=(ROWS, 3, *EXTENTS))
        self.runs = 0

    def labels(self, classes, ignore=None):
        t = self.random.integers(0, classes, (ROWS, *EXTENTS))
        if ignore is not None:
            t[self.random.random(t.shape) < 0.3] = ignore
            t[4] = ignore  # one sample counts for nothing
        return t

    def fit(self, labels, out, keys, *words, ranks=1, more="", lr=0.0, code=0):
        data = self.folder / "data.h5"
        with h5py.File(data, "w") as file:
            file["x"], file["y"] = self.x, labels
        self.runs += 1
        run = program.RunFolder(self.folder / f"run{self.runs}")
        deck = self.write_deck(DECK.format(run=run.path, data=data, out=out, more=more, keys=keys, lr=lr))
        result = program.run("train", deck, *words, ranks=ranks)
        self.assertEqual(result.code, code, result.text)
        if code:
            return result
        files = sorted((run.path / "checkpoints").glob("step-*.h5"))
        with h5py.File(files[-1]) as file:
            parameters = [file["model/head.weight"][:].reshape(out, 3), file["model/head.bias"][:]]
        return run.losses()[1], parameters, run


class LossesTest(LossFit):
    def check(self, labels, out, keys, formula, *words, ranks=1, more="", after=lambda y: y):
        """The loss of the first step, its gradient, and the loss of an evaluation."""
        loss, start, run = self.fit(labels, out, keys, *words, ranks=ranks, more=more)
        _, end, _ = self.fit(labels, out, keys, *words, ranks=ranks, more=more, lr=1.0)

        def value(weight, bias):
            return formula(after(np.einsum("oc,nchw->nohw", weight, self.x) + bias[:, None, None]))

        note = f"{keys} {words} on {ranks}"
        self.assertAlmostEqual(loss, value(*start), delta=1e-10 * max(1, abs(loss)), msg=note)
        self.assertAlmostEqual(run.events("end")[-1]["test"]["loss"], loss, delta=1e-10 * max(1, abs(loss)), msg=note)
        for which in range(2):
            for at in np.ndindex(start[which].shape):
                sides = []
                for step in (1e-5, -1e-5):
                    moved = [start[0].copy(), start[1].copy()]
                    moved[which][at] += step
                    sides.append(value(*moved))
                found, wanted = start[which][at] - end[which][at], (sides[0] - sides[1]) / 2e-5
                self.assertAlmostEqual(found, wanted, delta=1e-7 * max(1, abs(wanted)), msg=f"{note}, {which} {at}")
        return run

    def test_classes_of_pixels(self):
        keys = "kind = cross_entropy\n"
        t = self.labels(4)
        self.check(t, 4, keys, lambda y: cross_entropy(y, t))
        self.check(t[:, None].astype("f4"), 4, keys + "label_smoothing = 0.2", lambda y: cross_entropy(y, t, smoothing=0.2))
        t = self.labels(4, 255)
        t[7:] = np.where(t[7:] == 255, 0, t[7:])  # unevenly over ranks
        weights = [0.5, 2, 1, 7]
        keys += "ignore = 255\nclass_weights = 0.5, 2, 1, 7\nlabel_smoothing = 0.1"
        def formula(y):
            return cross_entropy(y, t, 255, weights, 0.1)
        self.check(t.astype("u1"), 4, keys, formula)
        for ranks, words in ((3, []), (2, ["--parallel.spatial=2x1"]), (2, ["--parallel.tensor=2"]), (4, ["--parallel.spatial=1x2"])):
            self.check(t.astype("u1"), 4, keys, formula, *words, ranks=ranks)

    def test_same_bits_with_virtual_ranks(self):
        t = self.labels(3, -1)
        keys = "kind = cross_entropy\nignore = -1\nclass_weights = 1, 3, 0.2"
        runs = [self.fit(t, 3, keys, "--data.virtual_ranks=4", ranks=ranks, lr=0.5) for ranks in (1, 2, 3)]
        for other in runs[1:]:
            self.assertEqual(other[0], runs[0][0])
            for a, b in zip(other[1], runs[0][1]):
                self.assertTrue((a == b).all())
            self.assertEqual(other[2].events("end")[-1]["test"], runs[0][2].events("end")[-1]["test"])

    def test_classes_of_samples(self):
        t = self.labels(4)[:, 0, 0]
        t[3] = t[9] = 77
        def pooled(y):
            return y.mean(axis=(2, 3))
        keys = "kind = cross_entropy\nignore = 77\n"
        more = "layer = global_avg_pool\nlayer = flatten"
        self.check(t, 4, keys, lambda y: cross_entropy(y, t, 77), more=more, after=pooled)
        keys += "class_weights = 1, 2, 3, 4"
        self.check(t, 4, keys, lambda y: cross_entropy(y, t, 77, [1, 2, 3, 4]), ranks=2, more=more, after=pooled)

    def test_probabilities(self):
        keys = "kind = cross_entropy\ntargets = probabilities\n"
        t = self.random.dirichlet([1, 1, 1], (ROWS, *EXTENTS)).transpose(0, 3, 1, 2)
        self.check(t, 3, keys + "label_smoothing = 0.1\nclass_weights = 1, 2, 3", lambda y: soft_cross_entropy(y, t, [1, 2, 3], 0.1))
        self.check(t, 3, keys, lambda y: soft_cross_entropy(y, t), "--parallel.spatial=2x1", ranks=2)
        flat = np.eye(3)[self.labels(3)[:, 0, 0]]
        self.check(flat, 3, keys, lambda y: soft_cross_entropy(y, flat), more="layer = global_avg_pool\nlayer = flatten", after=lambda y: y.mean(axis=(2, 3)))

    def test_ignored_numbers(self):
        t = self.random.normal(size=(ROWS, 2, *EXTENTS))
        t[self.random.random(t.shape) < 0.2] = np.nan
        keys = "kind = mse\nignore = nan"
        def squares(y):
            return masked_mean((y - t) ** 2, t, np.nan)
        self.check(t, 2, keys, squares)
        self.check(t, 2, keys, squares, "--parallel.spatial=2x1", ranks=2)
        self.check(t, 2, keys, squares, "--parallel.tensor=2", ranks=2)
        m = self.random.integers(0, 2, (ROWS, 1, *EXTENTS)).astype("u1")
        m[self.random.random(m.shape) < 0.2] = 255
        self.check(m, 1, "kind = bce_with_logits\nignore = 255", lambda y: masked_mean(softplus(y) - y * m, m, 255))

    def test_other_kinds(self):
        t = self.random.normal(size=(ROWS, 2, *EXTENTS))
        self.check(t, 2, "kind = huber\ndelta = 0.7", lambda y: huber(y, t, 0.7))
        self.check(t, 2, "kind = smooth_l1\nbeta = 0.7", lambda y: huber(y, t, 0.7) / 0.7)
        for words, ranks in (([], 1), (["--parallel.tensor=2"], 2)):
            self.check(t, 4, "kind = gaussian_nll", lambda y: gaussian(y, t), *words, ranks=ranks, more="layer = sigmoid", after=sigmoid)
        self.check(t, 2, "kind = relative_l2", lambda y: relative(y, t))
        self.check(t, 2, "kind = relative_l2", lambda y: relative(y, t), "--parallel.spatial=2x1", ranks=2)
        for poles in (False, True):
            kind = "latitude_poles" if poles else "latitude"
            self.check(t, 2, f"kind = mse\nreduction_weights = {kind}", lambda y: ((y - t) ** 2 * latitude(poles)).mean())
        self.check(t, 2, "kind = mse\nreduction_weights = latitude", lambda y: ((y - t) ** 2 * latitude(False)).mean(), "--parallel.spatial=2x1", ranks=2)
        p = self.random.random(size=(ROWS, 2, *EXTENTS))
        self.check(p, 2, "kind = kl_div", lambda y: (p * (np.log(p) - y)).sum() / ROWS)

    def test_rare_classes(self):
        m = (self.random.random(size=(ROWS, 2, *EXTENTS)) < 0.2).astype("u1")
        self.check(m, 2, "kind = bce_with_logits\npos_weight = 5", lambda y: positive_weight(y, m, [5, 5]))
        self.check(m, 2, "kind = bce_with_logits\npos_weight = 5, 0.5", lambda y: positive_weight(y, m, [5, 0.5]), "--parallel.tensor=2", ranks=2)
        self.check(m, 2, "kind = focal\ntargets = probabilities\nalpha = 0.25", lambda y: binary_focal(y, m, 2, 0.25))
        t = self.labels(3, 9)
        self.check(t, 3, "kind = focal\nignore = 9\ngamma = 1.5\nclass_weights = 1, 2, 3", lambda y: class_focal(y, t, 1.5, [1, 2, 3], 9))

    def test_dice(self):
        m = (self.random.random(size=(ROWS, 1, *EXTENTS)) < 0.2).astype("u1")
        self.check(m, 1, "kind = dice", lambda y: dice(sigmoid(y), m, np.ones(m.shape), 1))
        t = self.labels(3, 9)
        hot = one_hot(np.where(t == 9, 0, t), 3)
        def formula(y):
            return dice(np.exp(log_softmax(y)), hot, (t != 9)[:, None], 0.3)
        keys = "kind = dice\nignore = 9\nsmooth = 0.3"
        self.check(t, 3, keys, formula)
        self.check(t, 3, keys, formula, "--parallel.spatial=2x1", ranks=2)

    def test_refused(self):
        t = self.labels(4)
        t[5, 1, 2] = 9
        said = self.fit(t, 4, "kind = cross_entropy", code=3).text
        for words in ("row 5 of data set '/y'", "holds 9", "value 8 of 30", "whole numbers from 0 to 3", "loss.ignore"):
            self.assertIn(words, said)
        said = self.fit(t, 4, "kind = mse\nclass_weights = 1, 2", code=2).text
        self.assertIn("loss.class_weights = 1, 2 has no effect with loss.kind = mse", said)
        said = self.fit(t, 4, "kind = cross_entropy\nclass_weights = 1, 2\nignore = 9", code=2).text
        self.assertIn("4 classes", said)
        said = self.fit(t, 1, "kind = cross_entropy", code=2).text
        self.assertIn("bce_with_logits", said)
        said = self.fit(np.full(t.shape, 9), 4, "kind = cross_entropy\nignore = 9", code=3).text
        self.assertIn("no target counts", said)


if __name__ == "__main__":
    program.main()
