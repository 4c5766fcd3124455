#!/usr/bin/env python3
"""Checkpoints that are not what was written: found out, said, and skipped; never trained on."""

import random
import re
import shutil
import subprocess

from restart_test import ADAMW, MOMENTUM, RestartTest, program


# Schedules that do not depend on how long the run is: the halves are made with fewer steps.
CONSTANT = [word for word in MOMENTUM if not word.startswith("--schedule")]


def arrays_in(file):
    """Where the arrays of a checkpoint lie in the file: name -> (offset, bytes)."""
    dump = subprocess.run(["h5dump", "-p", "-H", str(file)], capture_output=True, text=True, check=True).stdout
    found, path = {}, []
    for line in dump.splitlines():
        if opened := re.match(r'\s*(?:GROUP|DATASET) "(.*)" \{', line):
            path.append(opened[1].strip("/"))
        elif line.rstrip().endswith("{") or re.search(r"\{\s*$", line):
            path.append("")
        if size := re.match(r"\s*SIZE (\d+)", line):
            bytes_ = int(size[1])
        if offset := re.match(r"\s*OFFSET (\d+)", line):
            found["/".join(part for part in path if part)] = (int(offset[1]), bytes_)
        if line.strip() == "}":
            path.pop()
    return found


def flip(file, at):
    with open(file, "r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)[0]
        stream.seek(at)
        stream.write(bytes([byte ^ 0x10]))


class Damage(RestartTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(self.id())

    def half(self, optimizer, name="half"):
        """A run that ended half way, with two checkpoints, for the tests to copy and damage."""
        folder = self.common / f"{name}-{optimizer[0][17:]}"
        if not folder.exists():
            for steps in (50, 75):
                self.ok("train", self.deck, f"--run.output={folder}", *optimizer, f"--train.steps={steps}", "--checkpoint.every=1000")
        half = program.RunFolder(folder)
        self.assertEqual([path.name for path in half.checkpoints()], ["step-00000050.h5", "step-00000075.h5"])
        return half

    def expected(self, optimizer):
        folder = program.RunFolder(self.common / f"whole-{optimizer[0][17:]}")
        if not folder.path.exists():
            self.ok("train", self.deck, f"--run.output={folder.path}", *optimizer)
        return folder

    def copy(self, folder):
        self.copies = getattr(self, "copies", 0) + 1
        path = self.folder / f"copy-{self.copies}"
        shutil.copytree(folder.path, path)
        return program.RunFolder(path)

    def goes_on_from(self, step, folder, optimizer, *said, ranks=1):
        """The run goes on from the checkpoint of `step`, says what it skipped, and ends as the one that nothing disturbed."""
        result = self.ok("train", self.deck, f"--run.output={folder.path}", *optimizer, ranks=ranks)
        for words in (*said, f"step-{step:08}.h5' at step {step}"):
            self.assertIn(words, result.text)
        self.assertEqual(folder.events("start")[-1]["step"], step)
        self.assert_same_run(folder, self.expected(optimizer))

    def test_truncated(self):
        half = self.half(CONSTANT)
        size = half.checkpoints()[-1].stat().st_size
        for length in (0, 1, 100, 5000, size // 2, size - 1):
            with self.subTest(length=length):
                folder = self.copy(half)
                with open(folder.checkpoints()[-1], "r+b") as file:
                    file.truncate(length)
                self.goes_on_from(50, folder, CONSTANT, "skipped", "step-00000075.h5")

    def test_one_byte_of_each_array(self):
        if not shutil.which("h5dump"):
            self.skipTest("h5dump (package hdf5-tools) is not there to tell where the arrays of a checkpoint lie")
        half = self.half(ADAMW)
        arrays = arrays_in(half.checkpoints()[-1])
        self.assertEqual(len([name for name in arrays if name.startswith("model/")]), 4)
        self.assertEqual(len([name for name in arrays if name.startswith("optimizer/")]), 8)
        for name, (offset, size) in arrays.items():
            with self.subTest(array=name):
                folder = self.copy(half)
                flip(folder.checkpoints()[-1], offset + self.random.randrange(size))
                self.goes_on_from(50, folder, ADAMW, "skipped", "step-00000075.h5", name)

    def test_any_byte(self):
        # Wherever a byte changes, either nothing that matters did, or it is noticed: the end has the same bits, always.
        half = self.half(CONSTANT)
        size = half.checkpoints()[-1].stat().st_size
        for at in [self.random.randrange(4096) for _ in range(6)] + [self.random.randrange(size) for _ in range(6)]:
            with self.subTest(at=at):
                folder = self.copy(half)
                flip(folder.checkpoints()[-1], at)
                self.ok("train", self.deck, f"--run.output={folder.path}", *CONSTANT)
                self.assertEqual(folder.digest(), self.expected(CONSTANT).digest())

    def test_zeros_instead_of_numbers(self):
        # What a file system may leave after a crash: the length is right, the content is not.
        half = self.half(CONSTANT)
        size = half.checkpoints()[-1].stat().st_size
        for first in (0, size // 2, size - 4096):
            with self.subTest(first=first):
                folder = self.copy(half)
                with open(folder.checkpoints()[-1], "r+b") as file:
                    file.seek(first)
                    file.write(bytes(4096))
                self.goes_on_from(50, folder, CONSTANT, "skipped")

    def test_something_else_under_its_name(self):
        for what in ("text", "shard", "folder"):
            with self.subTest(what=what):
                folder = self.copy(self.half(CONSTANT))
                file = folder.checkpoints()[-1]
                file.unlink()
                if what == "text":
                    file.write_text("not a checkpoint\n" * 500)
                elif what == "shard":
                    shutil.copy(next((self.make_digits() / "test").glob("*.h5")), file)
                else:
                    file.mkdir()
                self.goes_on_from(50, folder, CONSTANT, "skipped", "step-00000075.h5")

    def test_damaged_one_does_not_cost_the_whole_ones(self):
        # With keep = 1 the damaged, newest file must not count as the one that is kept.
        folder = self.copy(self.half(CONSTANT))
        folder.checkpoints()[-1].write_bytes(b"damaged")
        words = ["train", self.deck, f"--run.output={folder.path}", *CONSTANT, "--checkpoint.keep=1"]
        self.ok(*words, "--train.steps=70")
        self.assertEqual([path.name for path in folder.checkpoints()], ["step-00000070.h5"])
        self.ok(*words)
        self.assertEqual(folder.digest(), self.expected(CONSTANT).digest())

    def test_all_damaged(self):
        for ranks in (1, 2):
            folder = self.copy(self.half(CONSTANT))
            for file in folder.checkpoints():
                file.write_bytes(file.read_bytes()[:1000])
            metrics = (folder.path / "metrics.jsonl").read_text()
            result = program.run("train", self.deck, f"--run.output={folder.path}", *CONSTANT, ranks=ranks)
            self.assertEqual(result.code, 4, result.text)
            self.assertEqual(len(result.errors()), 1)
            for words in ("holds no intact checkpoint", "step-00000050.h5", "step-00000075.h5"):
                self.assertIn(words, result.err)
            self.assertEqual((folder.path / "metrics.jsonl").read_text(), metrics, "the record of the run is lost")
            self.assertEqual(len(folder.checkpoints()), 2)

    def test_one_that_cannot_be_read_is_not_damaged(self):
        """No older checkpoint takes its place, because the run would later remove the file."""
        changed = "import h5py, numpy, sys; h5py.File(sys.argv[1], 'a').attrs['format_version'] = numpy.int64(2)"
        for what, said in (("permission", "Permission denied"), ("link", "symbolic link"), ("version", "format version 2")):
            for ranks in (1, 2):
                with self.subTest(what=what, ranks=ranks):
                    folder = self.copy(self.half(CONSTANT))
                    newest, faults = folder.checkpoints()[-1], None
                    if what == "permission":
                        faults = "open@step-00000075.h5:EACCES"
                    elif what == "link":
                        newest.rename(folder.path / "elsewhere.h5")
                        newest.symlink_to(folder.path / "nowhere.h5")
                    elif subprocess.run(["/usr/bin/python3", "-c", changed, newest], stderr=subprocess.DEVNULL).returncode != 0:
                        self.skipTest("no Python with h5py changes the version")
                    files = lambda run=folder.path: {file: file.read_bytes() for file in run.rglob("*") if file.is_file() and file.name != "exit_code"}  # noqa: E731
                    before = files()
                    result = program.run("train", self.deck, f"--run.output={folder.path}", *CONSTANT, ranks=ranks, faults=faults)
                    self.assertEqual(result.code, 4, result.text)
                    self.assertEqual(len(result.errors()), 1, result.text)
                    for words in ("step-00000075.h5", said, "may be intact", "Hint", "move this file away"):
                        self.assertIn(words, result.errors()[0])
                    self.assertEqual(files(), before)
                    self.assertEqual(program.run("evaluate", folder.path, faults=faults).code, 4)
                    if what == "link":
                        newest.unlink()
                        (folder.path / "elsewhere.h5").rename(newest)
                    if what != "version":
                        self.goes_on_from(75, folder, CONSTANT)
        # What passes is tried again.
        folder = self.copy(self.half(CONSTANT))
        self.ok("train", self.deck, f"--run.output={folder.path}", *CONSTANT, faults="open@step-00000075.h5:EACCES:count=2")
        self.assertEqual(folder.events("start")[-1]["step"], 75)

    def test_unfinished_one_is_swept_away(self):
        folder = self.copy(self.half(CONSTANT))
        left = folder.path / "checkpoints" / ".step-00000071.h5.partial"
        left.write_bytes(b"what a killed run was writing")
        self.goes_on_from(75, folder, CONSTANT)
        self.assertFalse(left.exists())

    def test_record_with_a_torn_line(self):
        folder = self.copy(self.half(CONSTANT))
        with open(folder.path / "metrics.jsonl", "a") as file:
            file.write('{"event":"step","step":76,"lo')
        self.goes_on_from(75, folder, CONSTANT)


if __name__ == "__main__":
    program.main()
