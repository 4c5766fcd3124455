#!/usr/bin/env python3
"""scripts/scaling: makes the runs, takes those that are there, writes the report."""

import csv
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import needs_numpy  # noqa: E402,F401
import decks  # noqa: E402
import program  # noqa: E402

DECK = decks.digits(["flatten", "linear out=16", "relu", "linear name=head out=10"], data={"test": None, "batch": 24})


class Scaling(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.deck = self.write_deck(DECK.format(data=self.make_digits()))
        self.out = self.folder / "study"

    def scaling(self, *words, code=0):
        env = dict(program.environment(), TRIREME_MPIEXEC=" ".join(program.launcher()), TRIREME_PYTHON=sys.executable)
        done = subprocess.run([str(program.ROOT / "scripts" / "scaling"), *map(str, words), "--program", program.program(), "--out", str(self.out)], env=env,
                              capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def ends(self):
        return {file.parent.name: os.stat(file).st_mtime_ns for file in self.out.glob("runs/*/trace.json")}

    def rows(self):
        with open(self.out / "scaling.csv") as stream:
            return list(csv.DictReader(stream))

    def test_strong(self):
        # Tests share their machine, so these studies are disturbed; that must not hide the extrapolation here.
        words = ["strong", self.deck, "--ranks", "1,2,4", "--repeats", 2, "--steps", 30, "--warm-up", 4, "--note", "A test.", "--max-spread", 1000]
        self.assertIn("6 runs, 0 of them are there", self.scaling(*words))
        before = self.ends()
        self.assertEqual(sorted(before), sorted(f"r{ranks}-t1-{repeat}" for ranks in (1, 2, 4) for repeat in (0, 1)))
        text = (self.out / "report.md").read_text()
        for part in ("A test.", "efficiency", "imbalance", "Amdahl: serial fraction", "Karp-Flatt on 4 ranks", "all-reduce over", "LUMI-C",
                     "strong scaling of data parallelism ends there"):
            self.assertIn(part, text)
        for name in ("scaling.png", "split.png", "extrapolation.png"):
            self.assertEqual((self.out / name).read_bytes()[:4], b"\x89PNG")
            self.assertIn(name, text)
        rows = self.rows()
        self.assertEqual(len(rows), 6)
        self.assertEqual({row["batch"] for row in rows}, {"24"})
        for row in rows:
            parts = sum(float(row[part]) for part in ("compute", "reduction", "halo", "data", "imbalance", "other"))
            self.assertGreater(float(row["step"]), 0)
            self.assertGreaterEqual(parts, 0.999 * float(row["step"]))

        # What is there is kept; what was cut off, or was another command's, is done again.
        (self.out / "runs" / "r2-t1-1" / "metrics.jsonl").write_text('{"event":"start"}\n')
        self.assertIn("6 runs, 5 of them are there", self.scaling(*words))
        after = self.ends()
        self.assertEqual([name for name in after if after[name] != before[name]], ["r2-t1-1"])
        self.assertIn("6 runs, 0 of them are there", self.scaling(*words, "--optimizer.lr=0.02"))

        # The same runs count as disturbed if no spread is allowed: then the report says so, and the old plot goes.
        said = self.scaling(*words, "--optimizer.lr=0.02", "--max-spread", "1e-9")
        self.assertIn("6 runs, 6 of them are there", said)
        self.assertIn("no extrapolation: The study is disturbed", said)
        text = (self.out / "report.md").read_text()
        self.assertIn("The study is disturbed", text)
        self.assertIn("Amdahl: serial fraction", text)
        self.assertNotIn("extrapolation.png", text)
        self.assertFalse((self.out / "extrapolation.png").exists())

    def test_one_point_is_not_extrapolated(self):
        said = self.scaling("strong", self.deck, "--ranks", "2", "--repeats", 1, "--steps", 12, "--warm-up", 4)
        for part in ("only one number of ranks (2)", "only one repeat on 2 ranks", "--ranks 1,2"):
            self.assertIn(part, said)
        text = (self.out / "report.md").read_text()
        for part in ("no extrapolation", "only one number of ranks", "nothing to fit"):
            self.assertIn(part, text)
        self.assertNotIn("Amdahl", text)
        self.assertNotIn("| 1024 |", text)
        self.assertFalse((self.out / "extrapolation.png").exists())
        self.assertEqual((self.out / "scaling.png").read_bytes()[:4], b"\x89PNG")

    def test_weak(self):
        self.scaling("weak", self.deck, "--ranks", "1,2", "--threads", "1,2", "--repeats", 2, "--steps", 20, "--warm-up", 4, "--data.batch=10",
                     "--max-spread", 1000)
        self.assertEqual(sorted({(row["ranks"], row["threads"], row["batch"]) for row in self.rows()}),
                         [("1", "1", "10"), ("1", "2", "10"), ("2", "1", "20"), ("2", "2", "20")])
        text = (self.out / "report.md").read_text()
        for part in ("Gustafson: serial fraction", "2 threads per rank", "| 1024 |"):
            self.assertIn(part, text)

    def test_errors(self):
        for words, said in ((["strong", "nowhere.ini"], "no deck"), (["strong", self.deck, "--max-spread", "0"], "not a number above 0"),
                            (["strong", self.deck, "--ranks", "2,1"], "growing list"),
                            (["weak", self.deck, "--ranks", "2,3"], "multiples"),
                            (["strong", self.deck, "--speed=3"], "--section.key=value"), (["strong", self.deck, "--machine", "none.json"], "machine file")):
            self.assertIn(said, self.scaling(*words, code=2))
        self.assertIn("exit code 2", self.scaling("strong", self.deck, "--ranks", "1", "--repeats", 1, "--optimizer.lr=fast", code=1))


if __name__ == "__main__":
    program.main()
