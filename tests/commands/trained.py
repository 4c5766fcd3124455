"""A small trained network, and readers of HDF5 arrays, for the tests of commands."""

import pathlib
import shutil
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import decks  # noqa: E402
import program  # noqa: E402

DECK = decks.digits(["conv out=4 kernel=3 stride=2", "relu", "flatten", "linear name=head out=10"], run={"seed": 3}, data={"batch": 32, "test_batch": 40},
                    optimizer={"lr": 0.05, "momentum": 0.9}, train={"epochs": 3}, checkpoint={"every": 20, "keep": 3})

# The output is an image of four channels, each the same picture but for a factor and an addend.
CHANNELS = decks.deck("4x8x8x8", ["conv out=1 kernel=3 padding=1", "conv out=4 kernel=1"], data={"train": "{data}", "target": "features", "batch": 20},
                      loss={"kind": "mse"}, train={"epochs": 1})


class TrainedTest(program.ProgramTest):
    """self.run_folder: a run on self.data, made once a class."""

    def setUp(self):
        super().setUp()
        self.data = self.make_digits(train=640, test=151)
        self.run_folder = self.common / "run"
        if not self.run_folder.exists():
            deck = self.write_deck(DECK.format(data=self.data))
            self.ok("train", deck, f"--run.output={self.run_folder}")
        self.run = program.RunFolder(self.run_folder)

    def copy_of_run(self):
        folder = self.folder / "copy"
        shutil.copytree(self.run_folder, folder)
        return program.RunFolder(folder)


def read_array(file, name, code):
    """All numbers of one data set, as a flat list; `code` is struct's letter for the type. Skips the test where nothing can read HDF5."""
    try:
        import h5py

        with h5py.File(file, "r") as opened:
            return [number.item() for number in opened[name][...].reshape(-1)]
    except ImportError:
        pass
    if shutil.which("h5dump") is None:
        raise unittest.SkipTest("neither h5py nor h5dump is here to read HDF5")
    raw = pathlib.Path(f"{file}.raw")
    subprocess.run(["h5dump", "-d", name, "-b", "LE", "-o", raw, file], check=True, stdout=subprocess.DEVNULL)
    data = raw.read_bytes()
    raw.unlink()
    return list(struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data))
