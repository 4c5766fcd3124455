#!/usr/bin/env python3
"""A run that the time limit stops, again and again, is the run that had all the time it wanted; and its last word lies in the run directory."""

import os
import time
from unittest import mock

from restart_test import ADAM, RestartTest, program


class TimeLimit(RestartTest):
    WORDS = [*ADAM, "--train.steps=2000", "--train.log_every=50", "--checkpoint.every=500"]

    def mark(self, folder):
        file = folder.path / "exit_code"
        return int(file.read_text()) if file.exists() else None

    def parts(self, name, words, ranks, start):
        """Starts the same command until it is done; the codes of all starts. `start`: more words and environment of start number k."""
        folder, codes = program.RunFolder(self.folder / name), []
        while (not codes or codes[-1] == program.REQUEUE) and len(codes) < 40:
            more, environment = start(len(codes))
            with mock.patch.dict(os.environ, environment):
                result = program.run(*words, *more, ranks=ranks)
            codes.append(result.code)
            self.assertEqual(self.mark(folder), result.code, result.text)
            if result.code == program.REQUEUE:
                self.assertIn("stopped by the time limit", result.text)
        self.assertEqual(codes[-1], 0, codes)
        self.assertEqual(codes[:-1], [program.REQUEUE] * (len(codes) - 1))
        stops = folder.events("stop")
        self.assertTrue(all(stop["reason"].startswith("the time limit") for stop in stops), stops)
        return folder, codes

    def test_own_limit(self):
        # A margin that leaves a twentieth of a second: the first start cannot be done by then. Later ones have more, however slow this machine is.
        words = self.words("parts", *self.WORDS, "--run.time_margin=60")
        folder, codes = self.parts("parts", words, 2, lambda k: ([f"--run.time_limit={60.05 + k / 2}"], {}))
        self.assertGreater(len(codes), 1)
        self.assert_same_run(folder, self.whole(*self.WORDS, ranks=2))

    def test_limit_of_the_job(self):
        words = self.words("parts", *self.WORDS, "--run.time_margin=59")
        folder, codes = self.parts("parts", words, 1, lambda k: ([], {"SLURM_JOB_END_TIME": str(int(time.time()) + 60 + k)}))
        self.assertGreaterEqual(len(codes), 1)
        self.assert_same_run(folder, self.whole(*self.WORDS))

    def test_no_time_at_all(self):
        # Even then each start is one step further, so that a job that requeues itself comes to its end.
        words = self.words("parts", *ADAM, "--train.steps=3", "--run.time_limit=1e-3", "--run.time_margin=0")
        folder, codes = self.parts("parts", words, 2, lambda _: ([], {}))
        self.assertEqual(codes, [75, 75, 75, 0])  # the last one evaluates
        self.assertEqual(folder.digest(), self.whole(*ADAM, "--train.steps=3", ranks=2).digest())

    def test_time_enough(self):
        self.ok(*self.words("enough", *ADAM, "--run.time_limit=3600"))
        self.assertEqual(self.mark(program.RunFolder(self.folder / "enough")), 0)

    def test_a_run_that_fails_leaves_no_word(self):
        words = self.words("failed", *ADAM)
        self.ok(*words, "--train.steps=15")  # within an epoch, whose batches then may not change
        folder = program.RunFolder(self.folder / "failed")
        self.assertEqual(self.mark(folder), 0)
        self.assertEqual(program.run(*words, "--data.batch=60").code, 4)
        self.assertIsNone(self.mark(folder))


if __name__ == "__main__":
    program.main()
