#!/usr/bin/env python3
"""Metrics of outputs with pixels against the definitions of scikit-learn and torchmetrics in numpy, on one rank and on grids."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import losses_command as losses  # noqa: E402
from losses_command import np, program  # noqa: E402


def auroc(scores, positive):
    order = scores.argsort(kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    for value in np.unique(scores):
        ranks[scores == value] = ranks[scores == value].mean()
    n = positive.sum()
    return (ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(scores) - n))


class MetricsOfPixels(losses.LossFit):
    def measured(self, labels, out, keys, *words, ranks=1, **options):
        """What a training ends with, what `evaluate --json` prints, and the outputs."""
        _, (weight, bias), run = self.fit(labels, out, keys, *words, ranks=ranks, **options)
        found = self.ok("evaluate", run.path, "--json", ranks=3 if ranks > 1 else 1).json()
        for name, value in run.events("end")[-1]["test"].items():
            same = found[name] is None if value is None else np.isclose(value, found[name], rtol=1e-12, atol=0)
            self.assertTrue(same, f"{name} {words}: {value}, {found[name]}")
        return found, np.einsum("oc,nchw->nohw", weight, self.x) + bias[:, None, None]

    def close(self, found, wanted, note=""):
        np.testing.assert_allclose(np.array(found, dtype=float), wanted, rtol=1e-11, err_msg=note)

    def test_classes(self):
        t = self.labels(3, 255)
        t[2:, 0] = np.where(t[2:, 0] == 2, 1, t[2:, 0])
        keys = "kind = cross_entropy\nignore = 255"
        for ranks, words in ((1, []), (2, ["--parallel.spatial=2x1"]), (2, ["--parallel.tensor=2"]), (3, ["--data.virtual_ranks=5"])):
            found, y = self.measured(t.astype("u1"), 3, keys, *words, ranks=ranks)
            p, counts = y.argmax(axis=1), t != 255
            confusion = np.zeros((3, 3), int)
            np.add.at(confusion, (t[counts], p[counts]), 1)
            self.assertEqual(found["confusion"], confusion.tolist())
            hits, wrong = np.diag(confusion), confusion.sum(0) + confusion.sum(1) - 2 * np.diag(confusion)
            self.close(found["accuracy"], hits.sum() / counts.sum())
            self.close(found["iou_by_class"], hits / (hits + wrong))
            self.close(found["mean_iou"], (hits / (hits + wrong)).mean())
            self.close(found["dice_by_class"], 2 * hits / (2 * hits + wrong))
            self.close(found["mean_dice"], (2 * hits / (2 * hits + wrong)).mean())

    def test_classes_that_do_not_occur(self):
        t = np.zeros((losses.ROWS, *losses.EXTENTS), int)
        found, y = self.measured(t, 3, "kind = cross_entropy")
        p = y.argmax(axis=1)
        iou = [(p == 0).mean()] + [0.0 if (p == c).any() else None for c in (1, 2)]
        self.assertEqual([v is None for v in found["iou_by_class"]], [v is None for v in iou])
        self.close(found["mean_iou"], np.mean([v for v in iou if v is not None]))

    def test_yes_or_no(self):
        m = self.random.integers(0, 2, (losses.ROWS, 1, *losses.EXTENTS)).astype("u1")
        m[self.random.random(m.shape) < 0.2] = 255
        keys = "kind = bce_with_logits\nignore = 255"
        for ranks, words in ((1, []), (2, ["--parallel.spatial=1x2"])):
            found, y = self.measured(m, 1, keys, *words, ranks=ranks)
            y, t = y[m != 255], m[m != 255] == 1
            self.close(found["iou"], ((y > 0) & t).sum() / ((y > 0) | t).sum())
            self.close(found["accuracy"], ((y > 0) == t).mean())
            self.close(found["auroc"], auroc(y, t))
            self.close(found["mae"], np.abs(losses.sigmoid(y) - t).mean())

    def test_two_classes(self):
        t = self.labels(2, 7)
        found, y = self.measured(t, 2, "kind = cross_entropy\nignore = 7", "--parallel.spatial=2x1", ranks=2)
        score = (y[:, 1] - y[:, 0])[t != 7]
        self.close(found["auroc"], auroc(score, t[t != 7] == 1))
        flat = self.random.integers(0, 4, (losses.ROWS, 1)) / 4  # ties
        found, y = self.measured((flat > 0.4).astype(int), 2, "kind = cross_entropy", more="layer = scale factor=0\nlayer = global_avg_pool\nlayer = flatten")
        self.assertEqual(found["auroc"], 0.5)

    def test_numbers(self):
        t = self.random.normal(size=(losses.ROWS, 2, *losses.EXTENTS)) + 3
        t[self.random.random(t.shape) < 0.2] = np.nan
        weights = losses.latitude(False) * np.ones(t.shape)
        for ranks, words in ((1, []), (2, ["--parallel.spatial=2x1"]), (2, ["--parallel.tensor=2"])):
            found, y = self.measured(t, 2, "kind = mse\nignore = nan\nreduction_weights = latitude", *words, ranks=ranks)
            square = (y - t) ** 2
            self.close(found["rmse"], np.sqrt(np.nanmean(square)))
            self.close(found["rmse_by_channel"], np.sqrt(np.nanmean(square, axis=(0, 2, 3))))
            self.close(found["latitude_rmse"], np.sqrt(np.nansum(square * weights) / weights[~np.isnan(t)].sum()))
            self.close(found["relative_l2"], np.sqrt(np.nansum(square, axis=(1, 2, 3)) / np.nansum(t**2, axis=(1, 2, 3))).mean())
            self.close(found["psnr"], 10 * np.log10((np.nanmax(t) - np.nanmin(t)) ** 2 / np.nanmean(square)))
            self.close(found["mae"], np.nanmean(np.abs(y - t)))
            self.close(found["loss"], np.nansum(square * weights) / weights[~np.isnan(t)].sum())


if __name__ == "__main__":
    program.main()
