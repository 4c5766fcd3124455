#!/usr/bin/env python3
"""Files that are damaged, locked, too many, no files at all, or gone on one rank or while they are read: said in words, with the rank and the remedy, never zeros."""

import fcntl
import os
import pathlib
import resource
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import program  # noqa: E402

USAGE, DATA = 2, 3

DECK = """
[run]
output = {run}
[data]
train = {data}
batch = 10
cache = 0
[model]
input = 64
layer = linear name=head out=1
[loss]
kind = mse
[optimizer]
lr = 1e-5
[train]
epochs = 1000000
log_every = 1
"""


class BadFiles(program.ProgramTest):
    def table(self, name, rows, *more):
        """Shards of 64 numbers a row and one target."""
        source = self.folder / f"{name}.csv"
        source.write_text("".join(",".join(str((row * 7 + k) % 13) for k in range(65)) + "\n" for row in range(rows)))
        self.ok("shard", "csv", source, "--out", self.folder / name, "--targets", 1, "--test", 0, *more)
        return self.folder / name / "train"

    def refused(self, words, *said, ranks=1, code=DATA, **env):
        result = program.run(*words, ranks=ranks, timeout=30, **env)
        self.assertEqual(result.code, code, result.text)
        for part in said:
            self.assertIn(part, result.text)
        for alarm in ("std::", "terminate called", "Segmentation"):
            self.assertNotIn(alarm, result.text)
        return result

    def deck(self, data):
        return self.write_deck(DECK.format(run=self.folder / "run", data=data))

    def test_the_rank_that_lacks_a_file_is_named(self):
        data = self.table("table", 40, "--shards", 2)
        for place, rank in ((0, 0), (1, 1)):
            file = sorted(data.glob("*.h5"))[place]
            file.rename(self.folder / "away")
            file.symlink_to(self.folder / "nowhere.h5")
            result = self.refused(["train", self.deck(data)], f"error on rank {rank} of 2 (host ", file.name, "nowhere.h5", ranks=2)
            self.assertEqual(len(result.errors()), 1, result.text)
            file.unlink()
            (self.folder / "away").rename(file)

    def test_a_shard_cut_short_while_it_is_trained_from(self):
        data = self.table("table", 2000)
        file = next(data.glob("*.h5"))
        run = program.RunFolder(self.folder / "run")
        with program.Job(["train", self.deck(data)]) as job:
            self.wait_until("training", lambda: len(run.losses()) > 3, job)
            os.truncate(file, file.stat().st_size // 2)
            result = job.wait(30)
        self.assertEqual(result.code, DATA, result.text[-2000:])
        self.assertIn("truncated while it was read", result.text)
        self.assertIn(file.name, result.text)

    def test_inspect_goes_on_behind_a_damaged_shard(self):
        data = self.table("table", 90, "--shards", 3)
        file = sorted(data.glob("*.h5"))[1]
        file.write_bytes(file.read_bytes()[:1000])
        self.refused(["inspect", data], "60 rows in 3 shard(s)", file.name, "problem: ")
        self.refused(["inspect", data, "--full"], "60 rows in 3 shard(s)", file.name, ranks=2)
        result = self.refused(["inspect", data, "--json"])
        self.assertEqual(len(result.json()["problems"]), 1)

    def test_what_is_no_file(self):
        data = self.table("table", 20)
        shutil.move(next(data.glob("*.h5")), self.folder / "good.h5")
        os.mkfifo(data / "a.h5")
        self.refused(["train", self.deck(data)], "a.h5", "a FIFO, not a file")
        self.refused(["inspect", data], "a.h5", "a FIFO, not a file")
        self.refused(["inspect", data / "a.h5"], "a.h5", "a FIFO, not a file")

    def test_a_locked_file_names_the_variable(self):
        data = self.table("table", 20)
        with open(next(data.glob("*.h5")), "rb+") as locked:
            fcntl.flock(locked, fcntl.LOCK_EX)
            self.refused(["train", self.deck(data)], "HDF5_USE_FILE_LOCKING=FALSE", HDF5_USE_FILE_LOCKING="TRUE")
            self.refused(["train", self.deck(data), "--train.steps=1", "--train.epochs=0"], "", code=0, HDF5_USE_FILE_LOCKING="FALSE")

    def test_too_many_open_files(self):
        data = self.table("table", 120, "--shards", 60)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))
        try:
            self.refused(["train", self.deck(data)], "ulimit -n")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_names_cannot_command_a_terminal(self):
        data = self.table("table", 20)
        odd = data / "a\x1b[2Jb\x9bé.h5"
        next(data.glob("*.h5")).rename(odd)
        odd.write_bytes(b"no shard\x1b[31m")
        for words in (["inspect", data], ["train", self.deck(data)]):
            result = self.refused(words, "a\\x1b[2Jb")
            self.assertNotIn("\x1b", result.text)

    def test_keys(self):
        data = self.table("table", 20)
        self.refused(["inspect", data, "--data.allow_unwritten=true", "--data.allow_external=false"], "20 rows", code=0)
        self.refused(["inspect", data, "--data.allow_unwritten=maybe"], "neither true nor false", code=USAGE)
        self.refused(["train", self.deck(data), "--data.allow_unwritten=true", "--train.steps=2", "--train.epochs=0"], "", code=0)


if __name__ == "__main__":
    program.main()
