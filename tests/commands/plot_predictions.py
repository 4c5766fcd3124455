#!/usr/bin/env python3
"""scripts/plot predictions: what it reads and draws, on made files. Skipped where no Python has matplotlib and h5py."""

import pathlib
import subprocess
import sys
import unittest.mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts" / "lib"), str(ROOT / "tests" / "support"), str(ROOT / "tests" / "scaling")]
import needs_numpy  # noqa: E402,F401
import h5py  # noqa: E402
import numpy as np  # noqa: E402
import plot_predictions  # noqa: E402
import program  # noqa: E402

PNG = b"\x89PNG\r\n\x1a\n"


class PlotPredictions(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.random = np.random.default_rng(5)

    def write(self, name, **arrays):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            for key, value in arrays.items():
                file[key.replace("__", "/")] = value
        return path

    def plot(self, *arguments, code=0):
        out = self.folder / "out" / "p.png"
        done = subprocess.run([ROOT / "scripts" / "plot", "predictions", *map(str, arguments), f"--out={out}"], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        if code == 0:
            self.assertEqual(done.stdout.strip(), str(out))
            self.assertEqual(out.read_bytes()[:8], PNG)
        return done.stderr

    def test_arrays_of_files(self):
        years = self.random.normal(size=(2, 5, 3, 4, 6))
        for i, year in enumerate(years):
            self.write(f"years/{i}.h5", fields=year)
        found = plot_predictions.read_array(f"{self.folder}/years/*.h5:/fields[1:, 2]", 8)
        np.testing.assert_array_equal(found, np.concatenate([years[0, 1:, 2], years[1, 1:, 2]]))
        found = plot_predictions.read_array(f"{self.folder}/years:/fields", 10)
        np.testing.assert_array_equal(found, np.concatenate(years))
        # One sample a file.
        maps = self.random.normal(size=(3, 4, 6, 2))
        for i, image in enumerate(maps):
            self.write(f"maps/{i}.h5", climate__data=image)
        np.testing.assert_array_equal(plot_predictions.read_array(f"{self.folder}/maps/*.h5:/climate/data", 3), maps)
        np.testing.assert_array_equal(plot_predictions.plane(maps[1], 1, True, None), maps[1, :, :, 1])
        volume = self.random.normal(size=(2, 5, 4, 3))
        np.testing.assert_array_equal(plot_predictions.plane(volume, 1, False, 4), volume[1, 4])
        np.testing.assert_array_equal(plot_predictions.plane(volume[0], None, False, None), volume[0, 2])

    def test_fields_classes_and_numbers(self):
        fields = self.random.normal(size=(4, 2, 8, 9))
        made = self.write("p.h5", output=fields)
        truth = self.write("t.h5", y=fields + 0.1, x=fields[:, :1], last=np.moveaxis(fields, 1, -1))
        self.plot(made, f"--truth={truth}:/y", f"--input={truth}:/x", "--channel=1", "--rows=0,-1", "--unit=m")
        self.plot(made, f"--truth={truth}:/last", "--channels-last", "--origin=lower", "--scale", 2, 1, "--truth-scale", 2, 1)
        volumes = self.write("v.h5", output=self.random.normal(size=(3, 4, 5, 6, 7)))
        classes = self.write("c.h5", y=self.random.integers(0, 4, size=(3, 5, 6, 7)).astype("u1"))
        self.plot(volumes, f"--truth={classes}:/y", "--classes=air,bone,fat,skin", "--level=1")
        numbers = self.write("n.h5", output=self.random.normal(size=(50, 2)))
        self.plot(numbers, f"--truth={self.write('m.h5', y=self.random.normal(size=(50, 2)))}:/y")

    def test_errors(self):
        made = self.write("p.h5", output=np.zeros((4, 2, 8, 9)))
        truth = self.write("t.h5", y=np.zeros((4, 2, 8, 9)), few=np.zeros((3, 2, 8, 9)), small=np.zeros((4, 2, 8, 8)), c=np.zeros((4, 8, 9), int))
        for said, arguments in (("no data set '/z'", [f"--truth={truth}:/z"]), ("no file matches", [f"--truth={self.folder}/*.nc:/y"]),
                                ("3 rows, and the predictions have 4", [f"--truth={truth}:/few"]), ("is no array", [f"--truth={truth}"]),
                                ("shape (2, 8, 9), and one of the truth (2, 8, 8)", [f"--truth={truth}:/small"]),
                                ("neither a number nor a slice", [f"--truth={truth}:/y[a:]"]), ("not one of the 4 rows", [f"--truth={truth}:/y", "--rows=4"]),
                                ("3 names, and the output has 2", [f"--truth={truth}:/c", "--classes=a,b,c"])):
            self.assertIn(said, self.refusal(made, *arguments))
        self.assertIn("no file of predictions", self.refusal(truth, f"--truth={truth}:/y"))

    def test_titles_and_rows_are_written(self):
        made = self.write("p.h5", output=self.random.normal(size=(4, 2, 8, 9)))
        truth = self.write("t.h5", y=self.random.normal(size=(4, 2, 8, 9)))
        figures = []
        with unittest.mock.patch.object(sys, "argv", ["plot", str(made), f"--truth={truth}:/y", f"--input={truth}:/y", "--input-name=wind", "--rows=1,3",
                                                      f"--out={self.folder}/none.png"]):
            with unittest.mock.patch.object(plot_predictions.plt.Figure, "savefig", lambda figure, *_, **__: figures.append(figure)):
                plot_predictions.main()
        written = [text.get_text() for text in figures[0].findobj(plot_predictions.plt.Text) if text.get_text()]
        plot_predictions.plt.close(figures[0])
        for text in ("wind", "truth", "prediction", "error", "row 1", "row 3"):
            self.assertEqual(written.count(text), 1, text)

    def refusal(self, *arguments):
        """The error, in this process, which saves starting Python nine times."""
        with unittest.mock.patch.object(sys, "argv", ["plot", *map(str, arguments), f"--out={self.folder}/none.png"]):
            with self.assertRaises(SystemExit) as ended:
                plot_predictions.main()
        self.assertFalse((self.folder / "none.png").exists())
        return str(ended.exception)


if __name__ == "__main__":
    program.main()
