#!/usr/bin/env python3
"""A command whose text is lost, because the disk is full or standard output is closed, says so and fails; a training goes on."""

import os
import shlex
import subprocess

from trained import TrainedTest, program


class LostOutput(TrainedTest):
    def lost(self, words, to, ranks=1):
        """Runs the command with its standard output to `to`, in the shell's words."""
        line = f"{shlex.join(program.command_line(words, ranks))} {to}"
        return subprocess.run(["bash", "-c", line], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=program.environment(), cwd=self.folder, timeout=60)

    def commands(self):
        data, deck = self.data / "test", self.run_folder / "deck.ini"
        return (["evaluate", self.run_folder], ["evaluate", self.run_folder, "--json"], ["inspect", self.run_folder], ["inspect", data, "--json"],
                ["inspect", data, "--statistics"], ["predict", self.run_folder, "--data", data, "--out", "p.h5", "--force"], ["plan", deck, "--ranks", 1],
                ["plan", deck, "--ranks", 1, "--json"], ["help", "deck"], ["evaluate", "--help"], ["--version"])

    def test_a_full_disk(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("there is no /dev/full")
        for words in self.commands():
            with self.subTest(words=words):
                result = self.lost(words, "> /dev/full")
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertIn("text on standard output was lost", result.stderr)
                self.assertIn("Hint", result.stderr)

    def test_a_closed_output(self):
        for words in self.commands():
            with self.subTest(words=words):
                result = self.lost(words, ">&-")
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertIn("text on standard output was lost: it is closed", result.stderr)

    def test_a_reader_that_leaves(self):
        """A pipe to `true`; the status is the program's."""
        for words in self.commands():
            with self.subTest(words=words):
                result = self.lost(words, "| true; exit ${PIPESTATUS[0]}")
                helps = words[0] in ("help", "--version") or "--help" in words
                self.assertIn(result.returncode, (0,) if helps else (0, 1), result.stderr)  # 0: the text was written before `true` ended
                self.assertEqual("the program that reads it has ended" in result.stderr, result.returncode == 1, result.stderr)

    def test_a_training_goes_on(self):
        for to in ("> /dev/full", ">&-"):
            result = self.lost(["train", self.run_folder / "deck.ini", "--run.output=again", "--train.epochs=1", "--train.steps=3"], to)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(program.RunFolder(self.folder / "again").events("end")[-1]["step"], 3)

    def test_what_is_written_is_no_fault(self):
        for words in self.commands():
            with self.subTest(words=words):
                result = self.lost(words, "> said.txt")
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertGreater((self.folder / "said.txt").stat().st_size, 10)
                self.assertEqual(self.lost(words, "> /dev/null").returncode, 0)


if __name__ == "__main__":
    program.main()
