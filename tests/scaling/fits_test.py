#!/usr/bin/env python3
"""The laws and models of scripts/scaling, on made data whose answers are known."""

import json
import pathlib
import tempfile
import unittest

import needs_numpy  # noqa: F401
import fits
import measurements
import model
import numpy as np
import program
import report

PERFECT = {"name": "perfect", "alpha_s": 0.0, "bandwidth_bytes_per_s": 1e30}
SLOW = {"name": "slow", "alpha_s": 1e-4, "bandwidth_bytes_per_s": 1e9}


def figures(ranks, compute, batch=64, noise=0.0, **more):
    parts = {"compute": compute, "reduction": 0.0, "halo": 0.0, "data": 0.0, "imbalance": 0.0, "other": 0.0, **more}
    return {"ranks": ranks, "threads": 1, "batch": batch, "parameters": 1_000_000, "step": sum(parts.values()), **parts, "backward": 0.6 * compute,
            "checkpoint": 0.1, "noise": noise, "messages": 4.0 if ranks > 1 else 0.0, "bytes": 4e6, "alone": 0.0}


class Laws(unittest.TestCase):
    ranks = [1, 2, 4, 8, 16]

    def test_amdahl(self):
        for serial in (0.0, 0.01, 0.3, 1.0):
            times = [3.0 * (serial + (1 - serial) / n) for n in self.ranks]
            found = fits.amdahl(self.ranks, times)
            self.assertAlmostEqual(found[0] / found.sum(), serial, places=9)
            self.assertAlmostEqual(found.sum(), 3.0, places=9)
            # Two points are enough where nothing is noisy.
            self.assertAlmostEqual(fits.amdahl([1, 2], times[:2])[0], found[0], places=9)

    def test_amdahl_never_finds_less_than_nothing(self):
        faster_than_linear = [1.0, 0.45, 0.2, 0.09, 0.04]
        serial, parallel = fits.amdahl(self.ranks, faster_than_linear)
        self.assertEqual(serial, 0)
        self.assertGreater(parallel, 0)

    def test_amdahl_with_noise(self):
        random = np.random.default_rng(3)
        found = [fits.amdahl(self.ranks, [(0.1 + 0.9 / n) * random.normal(1, 0.01) for n in self.ranks]) for _ in range(200)]
        shares = [a / (a + b) for a, b in found]
        self.assertAlmostEqual(np.mean(shares), 0.1, delta=0.002)
        self.assertLess(np.std(shares), 0.01)

    def test_gustafson(self):
        for serial in (0.0, 0.05, 0.5, -0.02):
            self.assertAlmostEqual(fits.gustafson(self.ranks, [n - serial * (n - 1) for n in self.ranks]), serial, places=12)

    def test_karp_flatt_is_amdahls_fraction(self):
        for serial in (0.0, 0.02, 0.4):
            for n in self.ranks[1:]:
                self.assertAlmostEqual(fits.karp_flatt(n, 1 / (serial + (1 - serial) / n)), serial, places=12)

    def test_alpha_beta(self):
        sizes = [8, 64, 512, 4096, 65536, 1 << 20]
        for alpha, bandwidth in ((2e-6, 25e9), (5e-5, 1e8)):
            found = fits.alpha_beta(sizes, [alpha + size / bandwidth for size in sizes])
            self.assertAlmostEqual(found[0] / alpha, 1, places=6)
            self.assertAlmostEqual(found[1] * bandwidth, 1, places=6)

    def test_all_reduce(self):
        self.assertEqual(fits.all_reduce_seconds(1, 1e9, 5, 1, 1), 0)
        self.assertAlmostEqual(fits.all_reduce_seconds(2, 100, 1, 0.5, 0.01), 2 * 0.5 + 100 * 0.01)
        self.assertAlmostEqual(fits.all_reduce_seconds(1024, 1000, 3, 2.0, 0), 2 * 10 * 3 * 2.0)
        many = [fits.all_reduce_seconds(n, 1e6, 1, 1e-6, 1e-9) for n in (2, 4, 8, 64, 1024)]
        self.assertEqual(many, sorted(many))

    def test_expected_maximum(self):
        random = np.random.default_rng(1)
        for n in (2, 10, 100, 1000):
            seen = random.normal(size=(4000, n)).max(axis=1).mean()
            self.assertAlmostEqual(fits.expected_maximum(n), seen, delta=0.03)
        self.assertEqual(fits.expected_maximum(1), 0)

    def test_bootstrap(self):
        same = {1: [2.0] * 5, 2: [1.0] * 5}
        draws = fits.bootstrap(same, lambda sample: np.median(sample[1]) / np.median(sample[2]), draws=50)
        self.assertEqual(fits.interval(draws), (2.0, 2.0))
        random = np.random.default_rng(2)
        inside = 0
        for _ in range(100):  # of a mean of 20 the 90 % interval should hold the truth about 90 times
            low, high = fits.interval(fits.bootstrap({1: list(random.normal(5, 1, 20))}, lambda sample: np.mean(sample[1]), draws=200))
            inside += low <= 5 <= high
        self.assertGreater(inside, 75)
        self.assertLess(inside, 100)


class Model(unittest.TestCase):
    def strong(self, serial=0.1, repeats=3, **more):
        return {n: [figures(n, serial + (1 - serial) / n, **more) for _ in range(repeats)] for n in (1, 2, 4)}

    def weak(self, **more):
        return {n: [figures(n, 1.0, batch=64 * n, **more)] * 3 for n in (1, 2, 4)}

    def test_perfect_network(self):
        for nodes, row in model.predictions(self.strong(), "strong", PERFECT, [1, 8, 64], draws=20).items():
            self.assertAlmostEqual(row["step"], 0.1 + 0.9 / nodes, places=9)
            self.assertAlmostEqual(row["efficiency"], 1 / (0.1 * nodes + 0.9), places=9)
            self.assertAlmostEqual(row["low"], row["high"], places=9)
        for row in model.predictions(self.weak(), "weak", PERFECT, [1, 1024], draws=20).values():
            self.assertAlmostEqual(row["efficiency"], 1, places=9)

    def test_network_noise_and_speed_cost(self):
        base = model.predictions(self.weak(), "weak", PERFECT, [256], draws=5)[256]["step"]
        slow = model.predictions(self.weak(), "weak", SLOW, [256], draws=5)[256]
        noisy = model.predictions(self.weak(noise=0.05), "weak", PERFECT, [256], draws=5)[256]
        self.assertGreater(slow["step"], base)
        self.assertAlmostEqual(noisy["imbalance"], 0.05 * fits.expected_maximum(256))
        # The last bucket has nothing to hide behind; the others hide behind backward.
        last = fits.all_reduce_seconds(256, 1e6, 1, SLOW["alpha_s"], 1e-9)
        self.assertAlmostEqual(slow["reduction"], last)
        faster = model.predictions(self.weak(), "weak", SLOW, [256], speed=1000, draws=5)[256]
        self.assertLess(faster["efficiency"], slow["efficiency"])

    def test_error_bars_hold_the_spread(self):
        random = np.random.default_rng(5)
        repeats = {n: [figures(n, (0.1 + 0.9 / n) * random.normal(1, 0.03)) for _ in range(5)] for n in (1, 2, 4)}
        row = model.predictions(repeats, "strong", PERFECT, [64], draws=200)[64]
        self.assertLess(row["low"], row["step"])
        self.assertGreater(row["high"], row["step"])
        self.assertLess(row["low"], 0.1 + 0.9 / 64)
        self.assertGreater(row["high"], 0.1 + 0.9 / 64)


class Refusals(unittest.TestCase):
    """Which studies may not be extrapolated."""

    def study(self, **times):
        return {int(ranks[1:]): [figures(int(ranks[1:]), t) for t in repeats] for ranks, repeats in times.items()}

    def test_a_quiet_study_is_extrapolated(self):
        self.assertEqual(model.refusals(self.study(r1=(1.0, 1.05, 0.95), r2=(0.5, 0.51, 0.49)), 0.2), [])

    def test_one_number_of_ranks(self):
        said = model.refusals(self.study(r2=(0.5, 0.51, 0.49)), 0.2)
        self.assertEqual(len(said), 1)
        self.assertIn("only one number of ranks (2)", said[0])

    def test_one_repeat(self):
        said = model.refusals(self.study(r1=(1.0, 1.0), r2=(0.5,), r4=(0.25,)), 0.2)
        self.assertEqual(len(said), 1)
        self.assertIn("only one repeat on 2, 4 ranks", said[0])

    def test_disturbed(self):
        # The weak study of resnet20 in docs/scaling: a build began after the first repeats.
        repeats = self.study(r1=(0.320, 0.312, 0.336, 0.320, 0.318), r2=(0.320, 0.465, 0.443, 0.450, 0.440))
        said = model.refusals(repeats, 0.2)
        self.assertEqual(len(said), 1)
        for part in ("disturbed", "on 2 ranks a step takes 320 to 465 ms", "33 %", "at most 20 %", "--max-spread"):
            self.assertIn(part, said[0])
        self.assertEqual(model.refusals(repeats, 0.4), [])

    def test_nothing_is_fitted_to_one_point(self):
        self.assertEqual(report.laws(self.study(r2=(0.5, 0.51)), "strong"), [])
        self.assertEqual(report.laws(self.study(r2=(0.5, 0.51)), "weak"), [])

    def test_one_repeat_has_no_interval(self):
        for _, value in report.laws(self.study(r1=(1.0,), r2=(0.6,)), "strong"):
            self.assertIn("no interval", value)


class Tables(unittest.TestCase):
    def test_strong(self):
        rows = report.table({1: [figures(1, t) for t in (1.0, 1.1, 0.9)], 2: [figures(2, t) for t in (0.5, 0.625, 0.4)]})
        self.assertEqual([row["speedup"] for row in rows], [1.0, 2.0])
        self.assertEqual((rows[1]["efficiency"], rows[1]["efficiency_low"], rows[1]["efficiency_high"]), (1.0, 0.8, 1.25))
        self.assertEqual((rows[0]["step_low"], rows[0]["step_high"]), (0.9, 1.1))

    def test_weak(self):
        rows = report.table({2: [figures(2, 1.0, batch=64)], 8: [figures(8, 1.25, batch=256)]})
        self.assertAlmostEqual(rows[1]["speedup"], 4 / 1.25)
        self.assertAlmostEqual(rows[1]["efficiency"], 1 / 1.25)

    def test_what_limits(self):
        rows = report.table({1: [figures(1, 1.0)], 2: [figures(2, 0.5, reduction=0.2)]})
        told = report.limits(rows, "strong")
        self.assertIn("reduction +200.00 ms", told)
        self.assertNotIn("compute", told)


class Measured(unittest.TestCase):
    """A made trace: two ranks, twelve steps, all parts known."""

    def trace(self, folder, data=(2, 2), compute=(80, 60), reduce=(5, 25), gap=3):
        spans = []
        for rank in (0, 1):
            now = 1e5 * rank  # clocks of ranks do not agree
            for step in range(12):
                slow = 10 if step < 3 else 1  # warm-up
                parts = {"data wait": data[rank], "forward": compute[rank] * 0.3, "backward": compute[rank] * 0.6, "reduce": reduce[rank],
                         "update": compute[rank] * 0.1}
                for name, ms in parts.items():
                    spans.append({"name": name, "ph": "X", "pid": rank, "tid": 0, "ts": now, "dur": 1e3 * ms * slow})
                    now += 1e3 * ms * slow
                now += 1e3 * gap
        (folder / "trace.json").write_text(json.dumps(spans))
        lines = [{"event": "start", "ranks": 2, "threads": 1, "batch": 64, "parameters": 100}, {"event": "checkpoint", "seconds": 0.25},
                 {"event": "end", "communication": [{"axis": "data", "exposed_s": 0.005, "alone_s": 0.01, "messages": 3, "bytes": 400},
                                                    {"axis": "spatial", "exposed_s": 0.004, "alone_s": 0.01, "messages": 9, "bytes": 50}]}]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event":"st')

    def test_parts(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            self.assertFalse(measurements.is_finished(folder))
            self.trace(folder)
            self.assertTrue(measurements.is_finished(folder))
            found = measurements.read(folder, warm_up=4)
        expected = {"step": 90, "compute": 66, "reduction": 5, "halo": 4, "data": 2, "imbalance": 10, "other": 3}
        for part, ms in expected.items():
            self.assertAlmostEqual(found[part] * 1e3, ms, places=6, msg=part)
        self.assertAlmostEqual(sum(found[part] for part in measurements.PARTS), found["step"], places=9)
        self.assertEqual((found["messages"], found["bytes"], found["checkpoint"]), (3, 400, 0.25))
        self.assertAlmostEqual(found["noise"], 0, places=9)


if __name__ == "__main__":
    program.main()
