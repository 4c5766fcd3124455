#!/usr/bin/env python3
"""The ready decks reach what their heads promise."""

import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import program  # noqa: E402

INPUTS = program.ROOT / "inputs"


class Decks(program.ProgramTest):
    def trained(self, deck, data, *overrides, ranks, timeout=200):
        """Trains a deck of inputs/ on data made for the test; returns the run and the metrics of its end."""
        run = program.RunFolder(self.folder / f"run-{ranks}")
        self.ok("train", INPUTS / deck, f"--data.train={data}/train", f"--data.test={data}/test", f"--run.output={run.path}", *overrides,
                ranks=ranks, timeout=timeout)
        return run, run.events("end")[-1]["test"]

    def table(self, file):
        self.ok("shard", "csv", INPUTS / file, "--targets", 3, "--out", self.folder / "data", "--shards", 2)
        return self.folder / "data"

    def parameters(self, run, name):
        """The numbers of a parameter in the newest checkpoint."""
        dump = subprocess.run(["h5dump", "-d", f"/model/{name}", "-y", "-w", "0", str(run.checkpoints()[-1])], capture_output=True, text=True,
                              check=True).stdout
        return [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e[-+]?\d+)?", dump[dump.index("DATA {"):dump.index("}", dump.index("DATA {"))])]

    def test_linear_regression(self):
        data = self.table("linear/plane.csv")
        for ranks in (1, 2):
            run, test = self.trained("linear/regression.ini", data, ranks=ranks)
            # The loss ends at the variance of the noise: lower would be learned by heart, higher not learned.
            self.assertLess(abs(test["loss"] - 4e-4), 1e-4)
            self.assertGreater(test["r2"], 0.998)
            if not shutil.which("h5dump"):
                self.skipTest("h5dump (package hdf5-tools) is not there to read the learned map")
            for name, expected in (("map.weight", [1.5, -0.5, -2, 0.75, 0.25, 1]), ("map.bias", [0.1, -0.3, 0.5])):
                found = self.parameters(run, name)
                self.assertEqual(len(found), len(expected))
                for value, truth in zip(found, expected):
                    self.assertAlmostEqual(value, truth, delta=0.01, msg=name)

    def test_tanh(self):
        data = self.table("tanh/waves.csv")
        for ranks in (1, 2):
            _, test = self.trained("tanh/mlp.ini", data, ranks=ranks)
            self.assertLess(test["loss"], 0.006)
            self.assertGreater(test["r2"], 0.985)

    def test_every_deck_describes_a_network(self):
        decks = sorted(INPUTS.glob("*/*.ini"))
        self.assertGreaterEqual(len(decks), 8)
        for deck in decks:
            with self.subTest(deck=deck.relative_to(INPUTS)):
                self.assertGreater(self.ok("inspect", deck, "--json").json()["parameters"], 0)

    def test_fields(self):
        # A few steps on a few small fields: the deck runs as it stands, and learns something.
        self.ok("shard", "fields", "--train", 64, "--test", 16, "--out", self.folder / "data", "--shards", 2, ranks=2, timeout=100)
        run, test = self.trained("fields/cosmoflow.ini", self.folder / "data", "--train.epochs=2", "--train.log_every=1", ranks=2)
        self.assertEqual(test["samples"], 16)
        losses = run.losses()
        self.assertLess(sum(losses[step] for step in (7, 8)), sum(losses[step] for step in (1, 2)))

    def test_digits(self):
        data = self.make_digits("small", train=4000, test=1000, shards=4)
        _, test = self.trained("digits/cnn.ini", data, "--train.epochs=4", "--data.batch=50", ranks=2)
        self.assertEqual(test["samples"], 1000)
        self.assertGreaterEqual(test["accuracy"], 0.96)

    def test_mnist(self):
        shared = program.shared_data()
        if shared is None or not (shared / "mnist").is_dir():
            self.skipTest("MNIST is not there; TRIREME_SHARED_DATA names a folder with mnist/ in it")
        self.ok("shard", "idx", shared / "mnist", "--out", self.folder / "data", "--shards", 4, ranks=2, timeout=100)
        _, test = self.trained("mnist/mlp.ini", self.folder / "data", "--train.epochs=3", ranks=2)
        self.assertEqual(test["samples"], 10000)
        self.assertGreaterEqual(test["accuracy"], 0.97)


if __name__ == "__main__":
    program.main()
