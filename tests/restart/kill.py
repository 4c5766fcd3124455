#!/usr/bin/env python3
"""A run that is killed or stopped and started again is the run that was not."""

import os
import random
import signal
import time

from restart_test import ACCUMULATE, ADAM, ADAMW, AVERAGE, DOUBLE, FROM_FILES, LAMB, MOMENTUM, NESTEROV, STEPS, RestartTest, program

SEED = int(os.environ.get("TRIREME_TEST_SEED", random.SystemRandom().randrange(10**6)))
print(f"random moments: TRIREME_TEST_SEED={SEED}", flush=True)


class Interrupted(RestartTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(f"{SEED} {self.id()}")

    def started(self, words, ranks, **env):
        """The job, once it has said what it will do, and so when all its ranks are there."""
        job = program.Job(words, ranks, **env)
        self.addCleanup(job.close)
        self.wait_until("its start", lambda: "steps in total" in job.said(), job)
        self.assertEqual(len(job.ranks()), ranks)
        return job

    def reach(self, job, folder, step):
        self.wait_until(f"step {step}", lambda: max(folder.losses(), default=0) >= step, job)


class Kill(Interrupted):
    def interrupted(self, kills, *overrides, ranks=1):
        """A run killed `kills` times: by step or by time, in the middle of whatever it does then."""
        folder, words = program.RunFolder(self.folder / "killed"), self.words("killed", *overrides)
        struck = 0
        for kill in range(kills):
            if folder.events("end"):
                break
            if kill % 2 == 0:
                at = max(folder.losses(), default=0)
                job = self.started(words, ranks)
                self.reach(job, folder, min(at + self.random.randint(1, STEPS // kills), STEPS - 20))
                time.sleep(self.random.uniform(0, 0.02))
            else:
                job = program.Job(words, ranks)
                self.addCleanup(job.close)
                time.sleep(self.random.uniform(0, 0.6))
            struck += job.running()
            job.kill()
            self.assertEqual(job.ranks(), [])
        self.assertGreater(struck, 0, "every kill came too late")
        self.ok(*words, ranks=ranks)
        return folder

    def check_kills(self, kills, *overrides, ranks=1):
        self.assert_same_run(self.interrupted(kills, *overrides, ranks=ranks), self.whole(*overrides, ranks=ranks))

    def test_killed_sgd_with_momentum_and_warm_up(self):
        self.check_kills(5, *MOMENTUM, ranks=2)

    def test_killed_nesterov_in_steps_reading_from_files(self):
        self.check_kills(3, *NESTEROV, *FROM_FILES, ranks=2)

    def test_killed_adam(self):
        self.check_kills(3, *ADAM)

    def test_killed_adamw_in_double_precision(self):
        self.check_kills(3, *ADAMW, *DOUBLE, ranks=2)

    def test_killed_lamb_with_an_average_and_accumulated_batches(self):
        self.check_kills(3, *LAMB, *AVERAGE, *ACCUMULATE, ranks=2)

    def test_killed_on_three_ranks(self):
        self.check_kills(1, *MOMENTUM, ranks=3)

    def test_one_rank_killed_takes_the_job_down(self):
        folder, words = program.RunFolder(self.folder / "one"), self.words("one", *MOMENTUM)
        job = self.started(words, 2)
        self.reach(job, folder, 15)
        job.signal_ranks(signal.SIGKILL, self.random.randrange(2))
        result = job.wait(10)
        self.assertNotIn(result.code, (0, program.REQUEUE))
        self.ok(*words, ranks=2)
        self.assert_same_run(folder, self.whole(*MOMENTUM, ranks=2))

    def test_killed_before_the_first_checkpoint(self):
        folder, words = program.RunFolder(self.folder / "early"), self.words("early", *ADAM, "--checkpoint.every=100")
        job = self.started(words, 1)
        self.reach(job, folder, 5)
        job.kill()
        self.ok(*words)
        self.assert_same_run(folder, self.whole(*ADAM, "--checkpoint.every=100"))


class Stop(Interrupted):
    def stopped(self, folder, words, ranks, number, step, which=None):
        """Stops a run with a signal; what is said and left must be complete."""
        # Slowed down: a signal comes before the last step, however long it takes to find the ranks.
        job = self.started(words, ranks, TRIREME_SLOW_RANK="0:10")
        self.reach(job, folder, step)
        job.signal_ranks(number, which)
        result = job.wait(20)
        self.assertEqual(result.code, program.REQUEUE, result.text)
        last = folder.events()[-1]
        self.assertEqual(last["event"], "stop")
        self.assertGreaterEqual(last["step"], step)
        self.assertLess(last["step"], STEPS)
        self.assertEqual(sorted(folder.losses()), list(range(1, last["step"] + 1)))
        self.assertEqual(folder.checkpoints()[-1].name, f"step-{last['step']:08}.h5")
        who = f"signal {int(number)}" if which in (None, 0) else "a signal to another rank"
        self.assertIn(f"stopped by {who} at step {last['step']}", result.text)
        self.assertEqual(self.ok("evaluate", folder.path, "--json").json()["step"], last["step"])
        return last

    def check_stops(self, stops, *overrides, ranks=1, which=None):
        folder, words = program.RunFolder(self.folder / "stopped"), self.words("stopped", *overrides)
        for stop in range(stops):
            number = (signal.SIGTERM, signal.SIGUSR1)[stop % 2]
            self.stopped(folder, words, ranks, number, self.random.randint(stop * 40 + 10, stop * 40 + 40), which)
        self.ok(*words, ranks=ranks)
        self.assert_same_run(folder, self.whole(*overrides, ranks=ranks))

    def test_stopped_without_mpiexec(self):
        self.check_stops(2, *ADAMW)

    def test_stopped_on_two_ranks(self):
        self.check_stops(3, *MOMENTUM, ranks=2)

    def test_signal_to_one_rank_only(self):
        self.check_stops(2, *ADAM, ranks=2, which=1)

    def test_goes_on_with_other_numbers_of_ranks(self):
        folder, words = program.RunFolder(self.folder / "moved"), self.words("moved", *MOMENTUM)
        self.stopped(folder, words, 2, signal.SIGTERM, 30)
        self.stopped(folder, words, 3, signal.SIGUSR1, 70)
        self.ok(*words, ranks=1)
        expected = self.whole(*MOMENTUM, ranks=2)
        self.assert_close(folder, expected, 1e-4)
        self.assert_tidy(folder)
        loss = [run.events("end")[-1]["test"]["loss"] for run in (folder, expected)]
        self.assertLess(abs(loss[0] - loss[1]), 1e-4 * loss[1])
        self.assertEqual([e["ranks"] for e in folder.events("start")], [2, 3, 1])


if __name__ == "__main__":
    program.main()
