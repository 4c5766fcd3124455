#!/usr/bin/env python3
"""scripts/plot: what it draws and says of runs, on made run directories. Skipped where no Python has matplotlib."""

import json
import os
import pathlib
import subprocess
import sys
import types
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts" / "lib"), str(ROOT / "tests" / "support"), str(ROOT / "tests" / "scaling")]
import needs_numpy  # noqa: E402,F401
import numpy as np  # noqa: E402
import plot  # noqa: E402
import plot_style  # noqa: E402
import program  # noqa: E402

PNG = b"\x89PNG\r\n\x1a\n"


def luminance(colour):
    """Relative luminance of "#rrggbb" (WCAG 2.1)."""
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    return sum(share * (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4) for share, p in zip((0.2126, 0.7152, 0.0722), parts))


def points(x, y):
    return list(zip((float(v) for v in x), (float(v) for v in y)))


class LearningRate(unittest.TestCase):
    """Jumps are drawn as jumps, ramps as ramps."""

    def corners(self, rate, ends=(), schedule="", every=10):
        return points(*plot.with_jumps(every * np.arange(1.0, 1 + len(rate)), np.array(rate), ends, schedule))

    def test_a_step_schedule_falls_at_the_end_of_the_epoch(self):
        self.assertEqual(self.corners([1, 1, 0.1, 0.01], ends=[24, 34], schedule="step"),
                         [(10, 1), (20, 1), (24, 1), (24, 0.1), (30, 0.1), (34, 0.1), (34, 0.01), (40, 0.01)])

    def test_without_an_epoch_there_it_falls_at_the_earlier_step(self):
        self.assertEqual(self.corners([1, 0.1], schedule="step"), [(10, 1), (10, 1), (10, 0.1), (20, 0.1)])

    def test_without_a_deck_a_fall_between_level_parts_is_a_jump(self):
        self.assertEqual(self.corners([1, 1, 0.5, 0.5]), [(10, 1), (20, 1), (20, 1), (20, 0.5), (30, 0.5), (40, 0.5)])

    def test_warm_up_and_smooth_schedules_are_lines(self):
        for schedule, rate in (("step", [0.2, 0.6, 1, 1]), ("cosine", [1, 0.9, 0.6, 0.2, 0]), ("linear", [1, 0.75, 0.5, 0.25]), ("constant", [1, 1, 1])):
            self.assertEqual(self.corners(rate, ends=[15, 25], schedule=schedule), [(10 * (i + 1), value) for i, value in enumerate(rate)])

    def test_nothing_and_one_point(self):
        self.assertEqual(self.corners([]), [])
        self.assertEqual(self.corners([0.5]), [(10, 0.5)])


class Style(unittest.TestCase):
    def test_28_looks_differ(self):
        looks = [(look["color"], str(look["linestyle"])) for look in map(plot_style.look, range(28))]
        self.assertEqual(len(set(looks)), 28)
        for before, after in zip(looks, looks[1:]):
            self.assertTrue(before[0] != after[0] and before[1] != after[1])

    def test_the_palette_is_seen_on_white(self):
        for colour in plot_style.COLOURS:
            self.assertGreater(1.05 / (luminance(colour) + 0.05), 2, colour)

    def test_values_are_spread_in_order_and_within_bounds(self):
        random = np.random.default_rng(1)
        for _ in range(200):
            count = int(random.integers(1, 9))
            places = random.uniform(0, 100, count)
            moved = plot_style.spread(places, 11, 0, 100)
            ordered = moved[np.argsort(places, kind="stable")]
            self.assertTrue((np.diff(ordered) >= 11 - 1e-9).all())
            self.assertTrue(moved.min() >= -1e-9 and moved.max() <= 100 + 1e-9)
        np.testing.assert_array_equal(plot_style.spread([50, 10, 90], 11, 0, 100), [50, 10, 90])  # far apart: none moves
        np.testing.assert_allclose(plot_style.spread([50, 50], 10), [45, 55])
        self.assertEqual(len(plot_style.spread([], 10)), 0)

    def test_running_mean(self):
        np.testing.assert_allclose(plot.smoothed(np.array([4.0, 1, 1, 7, 2]), 3), [4, 2, 3, 10 / 3, 2])
        self.assertEqual([plot.mean_width(n) for n in (1, 100, 400)], [5, 5, 20])


class Names(unittest.TestCase):
    def named(self, *runs):
        made = [types.SimpleNamespace(name=name, folder=pathlib.Path(folder)) for name, folder in runs]
        plot.name_apart(made)
        return [run.name for run in made]

    def test_names_that_differ_stay(self):
        self.assertEqual(self.named(("a", "/x/one"), ("b", "/y/one")), ["a", "b"])

    def test_equal_names_become_directories(self):
        self.assertEqual(self.named(("a", "/x/one"), ("a", "/x/two"), ("b", "/x/three")), ["one", "two", "b"])

    def test_equal_directories_get_their_parents(self):
        self.assertEqual(self.named(("a", "/x/p/one"), ("a", "/y/p/one"), ("a", "/y/q/two")), ["x/p/one", "y/p/one", "two"])

    def test_the_same_run_twice(self):
        with self.assertRaisesRegex(SystemExit, "given twice"):
            self.named(("a", "/x/one"), ("a", "/x/one"))


class Command(program.ProgramTest):
    def make_run(self, folder, name="digits", tested=True, steps=20, schedule="cosine"):
        folder = self.folder / folder
        folder.mkdir(parents=True)
        events = [{"event": "start", "name": name}]
        for step in range(5, 5 * steps + 1, 5):
            events.append({"event": "step", "step": step, "loss": 2 / step, "lr": 0.1 if step <= 50 else 0.01, "samples_per_s": 1000.0 + step})
            if step % 50 == 0:
                events.append({"event": "epoch", "epoch": step // 50, "step": step, "train": {"loss": 2 / step},
                               **({"test": {"loss": 2.5 / step, "accuracy": 1 - 1 / step}} if tested else {})})
        (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events) + '{"event":"st')  # cut off, as a kill leaves it
        (folder / "deck.ini").write_text(f"[schedule]\nkind = {schedule}\nwarmup = 0\n[model]\nlayer = flatten\nlayer = linear out=3\n")
        return folder

    def plot(self, *words, code=0):
        done = subprocess.run([str(ROOT / "scripts" / "plot"), *map(str, words)], env={**os.environ, "TRIREME_PYTHON": sys.executable}, capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def test_one_run(self):
        run = self.make_run("one")
        done = self.plot(run)
        self.assertEqual(done.stdout.strip(), str(run / "curves.png"))
        self.assertEqual(done.stderr, "")  # nothing is missing
        self.assertEqual((run / "curves.png").read_bytes()[:8], PNG)

    def test_what_is_missing_is_said(self):
        out = self.folder / "new" / "both.png"
        done = self.plot(self.make_run("one"), self.make_run("two", name="untested", tested=False), "--out", out)
        self.assertEqual(done.stderr, "note: Without test loss, test accuracy: untested.\n")
        self.assertEqual(out.read_bytes()[:8], PNG)
        done = self.plot(self.folder / "two")
        self.assertEqual(done.stderr, "note: Not shown: test loss, test metrics; no run was evaluated on test data (data.test, train.evaluate_every).\n")

    def test_errors(self):
        run = self.make_run("one")
        self.assertIn("given twice", self.plot(run, run, code=1).stderr)
        self.assertIn("has no metrics.jsonl", self.plot(self.folder, code=1).stderr)
        (self.folder / "metrics.jsonl").write_text('{"event":"start","name":"a"}\n')
        self.assertIn("no step and no epoch", self.plot(self.folder, code=1).stderr)

    def texts(self, *folders):
        """Everything that is written in the figure of these runs, and its lines by panel."""
        runs = [plot.Run(folder) for folder in folders]
        plot.name_apart(runs)
        figures, keep = [], plot.plt.Figure.savefig
        plot.plt.Figure.savefig = lambda figure, *_, **__: figures.append(figure)
        try:
            plot.draw([(run, plot_style.look(i)) for i, run in enumerate(runs)], "unused.png")
        finally:
            plot.plt.Figure.savefig = keep
        figure = figures[0]
        self.addCleanup(plot.plt.close, figure)
        written = [text.get_text() for text in figure.findobj(plot.plt.Text) if text.get_text()]
        return written, {axes.get_title(): axes.get_lines() for axes in figure.axes if axes.get_title()}

    def test_what_the_figure_says(self):
        written, panels = self.texts(self.make_run("a/run"), self.make_run("b/run", schedule="step"))
        self.assertEqual(sorted(panels), ["Learning rate", "Loss", "Speed", "Test accuracy (%)"])
        for text in ("a/run", "b/run", "training, running mean of 5 logged values", "training, as logged", "test", "99.00", "0.01", "1,100"):
            self.assertIn(text, written)
        self.assertEqual(written.count("1,100"), 1)  # equal values are written once
        # The rate falls at step 50, where an epoch ends.
        for line in panels["Learning rate"]:
            self.assertIn((50, 0.01), points(*line.get_data()))
        self.assertEqual(len({line.get_linestyle() for line in panels["Speed"]}), 2)

    def test_missing_panels(self):
        written, panels = self.texts(self.make_run("two", tested=False))
        self.assertEqual(sorted(panels), ["Learning rate", "Loss", "Speed"])
        self.assertTrue(any(text.startswith("Not shown: test loss, test metrics") for text in written))


if __name__ == "__main__":
    program.main()
