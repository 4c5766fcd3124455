#!/usr/bin/env python3
"""Whatever asks a run to stop, and whenever: a whole checkpoint, code 75, and the bits of the run that was left alone. And what must not stop it."""

import os
import pathlib
import signal
import subprocess
import time

from restart_test import ADAM, MOMENTUM, STEPS, RestartTest, program

SLOW = {"TRIREME_SLOW_RANK": "0:10"}
DATA, HANG = 3, 7


class SignalTest(RestartTest):
    def folder_of(self, name):
        return program.RunFolder(self.folder / name)

    def started(self, words, ranks=1, **env):
        job = program.Job(words, ranks, **env)
        self.addCleanup(job.close)
        return job

    def reach(self, job, folder, step):
        self.wait_until(f"step {step}", lambda: max(folder.losses(), default=0) >= step, job)


class Stops(SignalTest):
    def test_interrupt_and_hangup_are_as_a_stop(self):
        folder, words = self.folder_of("run"), self.words("run", *MOMENTUM)
        for number, step, which in ((signal.SIGINT, 20, None), (signal.SIGHUP, 60, 0), (signal.SIGINT, 100, 1)):
            job = self.started(words, 2, **SLOW)
            self.reach(job, folder, step)
            job.signal_ranks(number, which)
            result = job.wait(30)
            self.assertEqual(result.code, program.REQUEUE, result.text)
            last = folder.events()[-1]
            self.assertEqual(last["event"], "stop")
            self.assertEqual(folder.checkpoints()[-1].name, f"step-{last['step']:08}.h5")
            self.assertEqual((folder.path / "exit_code").read_text().strip(), "75")
        self.ok(*words, ranks=2)
        self.assert_same_run(folder, self.whole(*MOMENTUM, ranks=2))

    def test_a_second_interrupt_ends_at_once(self):
        folder = self.folder_of("twice")
        self.deck = self.write_deck(self.deck.read_text().replace("out=24", "out=1024"))  # a step of many seconds
        job = self.started(self.words("twice", *ADAM, "--data.batch=600"), TRIREME_SLOW_RANK="0:1000")
        self.wait_until("its start", lambda: folder.events("start"), job)
        for _ in range(2):
            time.sleep(0.5)
            job.signal_ranks(signal.SIGINT)
        result = job.wait(6)
        self.assertEqual(result.code, -signal.SIGINT, result.text)
        self.assertIn("a second time", result.err)

    def test_nohup_is_heeded(self):
        folder = self.folder_of("nohup")
        line = ["nohup", program.program(), *map(str, self.words("nohup", *ADAM, "--train.steps=60"))]
        with program.Job([], line=line, **SLOW) as job:
            self.reach(job, folder, 10)
            # No library's handler either: it would run on the stack of a kernel that may use the stack pointer for something else.
            status = pathlib.Path(f"/proc/{job.ranks()[0]}/status").read_text()
            self.assertTrue(int(next(x for x in status.splitlines() if x.startswith("SigIgn")).split()[1], 16) & 1 << (signal.SIGHUP - 1), status)
            job.signal_ranks(signal.SIGHUP)
            result = job.wait(30)
            self.assertEqual(result.code, 0, result.text)

    def test_signals_before_the_first_step(self):
        exe = os.path.realpath(program.program())
        words = [program.program(), *map(str, self.words("early", *ADAM, "--train.steps=100000"))]
        for number, wait in ((signal.SIGUSR1, 0), (signal.SIGTERM, 0.02), (signal.SIGUSR1, 0.1), (signal.SIGINT, 0.2), (signal.SIGUSR1, 0.3)):
            with self.subTest(number=number, wait=wait):
                process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=program.environment(LD_PRELOAD="", **SLOW))
                self.addCleanup(process.kill)
                status = pathlib.Path(f"/proc/{process.pid}/status")
                # As soon as the program's own first function ran: what comes while it is loaded nobody can hold back.
                blocked = lambda: int(next(x for x in status.read_text().splitlines() if x.startswith("SigBlk")).split()[1], 16)  # noqa: E731
                end = time.monotonic() + 20
                while os.readlink(f"/proc/{process.pid}/exe") != exe or not blocked() & 1 << (signal.SIGUSR1 - 1):
                    self.assertLess(time.monotonic(), end)
                time.sleep(wait)
                process.send_signal(number)
                self.assertEqual(process.wait(30), program.REQUEUE)
        self.assertLess(max(self.folder_of("early").losses()), 200)

    def test_in_an_evaluation(self):
        # One sample a pass, through a wide layer: an evaluation of seconds, after each epoch of 20 steps.
        data = self.make_digits("long", train=600, test=6000, shards=2)
        self.deck = self.write_deck(self.deck.read_text().replace(str(self.common / "digits"), str(data)).replace("out=24", "out=1024"))
        words = [*ADAM, "--train.steps=40", "--train.evaluate_every=1", "--data.test_batch=1", "--checkpoint.every=0", "--checkpoint.minutes=0"]
        folder = self.folder_of("run")
        for epochs in (0, 1):  # the second evaluation is that of the last step
            job = self.started(self.words("run", *words), 2)
            self.wait_until("the epoch's last step", lambda: len(folder.losses()) >= 20 * (epochs + 1), job)
            job.signal_ranks(signal.SIGTERM, 1)
            result = job.wait(30)
            self.assertEqual(result.code, program.REQUEUE, result.text)
            self.assertEqual(len(folder.events("epoch")), epochs, "the signal came after the evaluation")
            self.assertIn("beginning with the interrupted evaluation", result.text)
            self.assertEqual(folder.checkpoints()[-1].name, f"step-{20 * (epochs + 1):08}.h5")
        result = self.ok(*self.words("run", *words), ranks=2)
        self.assert_same_run(folder, self.whole(*words, ranks=2))

    def test_what_an_evaluation_meets_loses_nothing(self):
        folder, words = self.folder_of("run"), self.words("run", *MOMENTUM, "--run.io_retries=0")
        result = program.run(*words, ranks=2, faults=f"read@/test/:EIO:file={folder.path / 'metrics.jsonl'}")
        self.assertEqual(result.code, DATA, result.text)
        self.assertEqual(folder.checkpoints()[-1].name, "step-00000040.h5")
        self.ok(*words, ranks=2)
        self.assert_same_run(folder, self.whole(*MOMENTUM, ranks=2))


class ByTime(SignalTest):
    def test_checkpoints_by_time_cost_no_bits(self):
        for ranks, more in ((2, []), (2, ["--data.virtual_ranks=4"]), (2, ["--parallel.tensor=2"])):
            with self.subTest(more=more):
                name = "-".join(["time", *more]).replace("=", "")
                words = [*ADAM, *more, "--checkpoint.every=0"]
                folder = self.folder_of(name)
                job = self.started(self.words(name, *words, "--checkpoint.minutes=0.005"), ranks, TRIREME_SLOW_RANK="0:60")
                self.wait_until("two checkpoints", lambda: len(folder.events("checkpoint")) >= 2, job)
                job.kill()
                steps = [event["step"] for event in folder.events("checkpoint")]
                self.assertLess(steps[1], STEPS)
                self.ok(*self.words(name, *words), ranks=ranks)
                self.assertGreaterEqual(folder.events("start")[-1]["step"], steps[0])
                self.assert_same_run(folder, self.whole(*words, ranks=ranks, name=f"whole-{name}"))


class Streams(SignalTest):
    def check_done(self, name):
        folder = self.folder_of(name)
        self.assertIn("done: test", (folder.path / "log.txt").read_text().splitlines()[-1])
        self.assertEqual((folder.path / "exit_code").read_text().strip(), "0")
        for file in folder.checkpoints():
            self.ok("inspect", file)

    def shell(self, name, text):
        words = [program.program(), *map(str, self.words(name, *ADAM))]
        done = subprocess.run(["bash", "-c", text, *words], env=program.environment(), capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stdout.strip().splitlines()[-1:], ["code 0"], done.stdout + done.stderr)
        self.check_done(name)

    def test_a_reader_that_goes_away(self):
        self.shell("head", 'exec 3>&1; ("$0" "$@" 2>&1; echo "code $?" >&3) | head -3 >/dev/null')

    def test_a_full_disk_behind_the_output(self):
        self.shell("full", '"$0" "$@" >/dev/full; echo "code $?"')

    def test_closed_streams(self):
        self.shell("closed", '"$0" "$@" <&- >&- 2>&-; echo "code $?"')


class Records(SignalTest):
    def test_a_disk_that_fails_for_a_while_costs_no_event(self):
        expected = self.whole(*ADAM)
        for k, fault in enumerate(("EIO:nth=20:count=1", "ENOSPC:nth=30:count=5", "EDQUOT:nth=2:count=40", "short:nth=10:count=1;write@metrics.jsonl:ENOSPC:nth=10:count=1")):
            with self.subTest(fault=fault):
                result = self.ok(*self.words(f"run{k}", *ADAM), faults=f"write@metrics.jsonl:{fault}")
                self.assertEqual(result.err.count("cannot be written"), 1, result.err)
                self.assertIn("no event was lost", result.err)
                self.assert_same_run(self.folder_of(f"run{k}"), expected)


class Suspended(SignalTest):
    def test_a_job_that_was_suspended_as_a_whole_goes_on(self):
        folder = self.folder_of("run")
        job = self.started(self.words("run", *ADAM, "--run.hang_timeout=3", "--train.steps=1000000", "--train.epochs=100000", "--train.evaluate_every=0",
                                      "--train.log_every=20", "--checkpoint.every=0"), 2)
        for _ in range(3):
            at = max(folder.losses(), default=0)
            self.reach(job, folder, at + 100)
            pids = job.ranks()
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(5)
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        at = max(folder.losses())
        self.reach(job, folder, at + 100)
        # One that is stopped alone is still found out.
        os.kill(job.ranks()[1], signal.SIGSTOP)
        self.assertEqual(job.wait(40).code, HANG)


if __name__ == "__main__":
    program.main()
