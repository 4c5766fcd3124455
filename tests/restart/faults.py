#!/usr/bin/env python3
"""What a run does when the system below it fails: disks, files, ranks, other runs, numbers. tests/support/faults_preload.c makes the failures."""

import os
import pathlib
import random
import shutil
import signal
import time

from restart_test import ADAMW, MOMENTUM, STEPS, RestartTest, program

SEED = int(os.environ.get("TRIREME_TEST_SEED", random.SystemRandom().randrange(10**6)))
KILLS = int(os.environ.get("TRIREME_TEST_KILLS", 8))
print(f"random moments: TRIREME_TEST_SEED={SEED}, {KILLS} kills: TRIREME_TEST_KILLS", flush=True)

USAGE, DATA, CHECKPOINT, NUMERICAL, SUPERSEDED, HANG = 2, 3, 4, 5, 76, 7


def state_of(pid):
    """R, S, T (stopped)..., or nothing."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


class FaultTest(RestartTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(f"{SEED} {self.id()}")

    def folder_of(self, name):
        return program.RunFolder(self.folder / name)

    def expected(self, *overrides, ranks=1):
        """The undisturbed run, once a class."""
        name = "expected-" + "-".join([*overrides, str(ranks)]).replace("/", "_")
        folder = program.RunFolder(self.common / name)
        if not folder.path.exists():
            self.ok("train", self.deck, f"--run.output={folder.path}", *overrides, ranks=ranks)
        return folder

    def check_checkpoints(self, folder):
        """Every file under a checkpoint's name is whole."""
        for file in folder.checkpoints():
            self.ok("inspect", file)

    def one_error(self, result, code, *words):
        self.assertEqual(result.code, code, result.text)
        self.assertEqual(len(result.errors()), 1, result.text)
        for word in words:
            self.assertIn(word, result.errors()[0])


class Disk(FaultTest):
    CASES = [("write", "ENOSPC", "No space left"), ("write", "EDQUOT", "quota"), ("open", "EROFS", "Read-only"), ("rename", "EACCES", "Permission"),
             ("fsync", "ENOSPC", "No space left"), ("open", "ENOENT", "No such file")]

    def test_stops_where_a_checkpoint_cannot_be_written(self):
        for k, (call, error, words) in enumerate(self.CASES):
            for asynchronous in ("true", "false"):
                with self.subTest(call=call, error=error, asynchronous=asynchronous):
                    ranks = 1 + k % 2
                    folder = self.folder_of(f"{call}-{error}-{asynchronous}")
                    line = self.words(folder.path.name, *MOMENTUM, f"--checkpoint.async={asynchronous}")
                    # The third checkpoint and all later ones: how many calls are before depends on the kind.
                    result = program.run(*line, ranks=ranks, faults=f"{call}@step-00000033:{error}")
                    self.one_error(result, CHECKPOINT, words, "step-00000033.h5", "Hint" if call == "write" else "")
                    self.assertEqual([path.name for path in folder.checkpoints()], ["step-00000011.h5", "step-00000022.h5"])
                    self.check_checkpoints(folder)
                    self.ok(*line, ranks=ranks)
                    self.assert_same_run(folder, self.expected(*MOMENTUM, ranks=ranks))

    def test_goes_on_where_the_deck_says_so(self):
        for k, (call, error, words) in enumerate(self.CASES):
            with self.subTest(call=call, error=error):
                ranks = 1 + k % 2
                folder = self.folder_of(f"{call}-{error}")
                result = self.ok(*self.words(folder.path.name, *MOMENTUM, "--checkpoint.on_error=continue"), ranks=ranks,
                                 faults=f"{call}@step-00000033:{error};{call}@step-00000077:{error}")
                self.assertIn(words, result.text)
                self.assertIn("Training continues", result.text)
                self.assertEqual([e["step"] for e in folder.events("checkpoint_failed")], [33, 77])
                self.assertEqual(folder.events("end")[-1]["checkpoints"]["failed"], 2)
                self.assert_same_run(folder, self.expected(*MOMENTUM, ranks=ranks))

    def test_the_last_one_must_be_written(self):
        folder = self.folder_of("last")
        result = program.run(*self.words("last", *MOMENTUM, "--checkpoint.on_error=continue"), faults="write@checkpoints/.step:ENOSPC:nth=40")
        self.one_error(result, CHECKPOINT, "No space left", f"step-{STEPS:08}.h5", "the run's last")
        self.check_checkpoints(folder)

    def test_a_failure_on_one_rank_is_that_of_all(self):
        for rank in (0, 1):
            result = program.run(*self.words(f"rank{rank}", *MOMENTUM), ranks=2, faults=f"write@step-00000022:ENOSPC:rank={rank}")
            self.one_error(result, CHECKPOINT, "No space left", "step-00000022.h5")
            self.check_checkpoints(self.folder_of(f"rank{rank}"))

    def test_folder_removed(self):
        folder = self.folder_of("removed")
        job = program.Job(self.words("removed", *MOMENTUM, "--train.steps=100000", "--checkpoint.every=200", "--run.io_retries=0"))
        self.addCleanup(job.close)
        self.wait_until("a checkpoint", folder.checkpoints, job)
        shutil.rmtree(folder.path / "checkpoints")
        self.one_error(job.wait(30), CHECKPOINT, "No such file or directory", "checkpoints")

    def test_errors_that_pass(self):
        for k, fault in enumerate(("fsync@step-00000022:EIO:count=2", "write@owner.json:EIO:count=1", "write@step-00000033:ESTALE:count=1", "rename@step-00000044:EIO:count=1",
                      "read@train/:EIO:nth=20:count=2", "open@train/:ESTALE:nth=2:count=1")):
            with self.subTest(fault=fault):
                name = f"pass{k}"
                result = self.ok(*self.words(name, *MOMENTUM), faults=fault)
                self.assertIn("this may be temporary", result.text)
                self.assert_same_run(self.folder_of(name), self.expected(*MOMENTUM))

    def test_errors_that_stay_name_the_file(self):
        result = program.run(*self.words("stay", *MOMENTUM, "--run.io_retries=1"), faults="fsync@step-00000022:EIO")
        self.one_error(result, CHECKPOINT, "Input/output error", "step-00000022.h5")

    def test_short_reads_and_writes(self):
        self.ok(*self.words("short", *MOMENTUM), ranks=2, faults="write@/checkpoints/:short;read@train/:short:count=200")
        self.assert_same_run(self.folder_of("short"), self.expected(*MOMENTUM, ranks=2))

    def test_a_slow_disk_holds_training_back_and_is_said(self):
        folder = self.folder_of("slow")
        result = self.ok(*self.words("slow", *MOMENTUM, "--checkpoint.every=40"), faults="fsync@.partial:delay=400")
        self.assertIn("still being written", result.text)
        self.assertGreater(folder.events("end")[-1]["checkpoints"]["waiting"], 0.1)
        self.assertEqual(folder.digest(), self.expected(*MOMENTUM).digest())


class Kills(FaultTest):
    def test_killed_anywhere_in_a_checkpoint(self):
        """Killed in the middle of the calls that make a checkpoint, or at any moment; one rank or all. Every checkpoint that is there is whole, always, and the end
        has the bits of the run that nobody disturbed."""
        ranks, folder, line = 2, self.folder_of("killed"), self.words("killed", *ADAMW)
        expected = self.expected(*ADAMW, ranks=ranks)
        struck = rounds = 0
        while struck < KILLS:
            if folder.events("end"):  # begins anew: the run is shorter than the list of kills
                self.assert_same_run(folder, expected)
                shutil.rmtree(folder.path)
            rounds += 1
            self.assertLess(rounds, 20 * KILLS, "the kills do not strike")
            if self.random.random() < 0.7:
                call = self.random.choice(["open", "write", "fsync", "rename", "any"])
                nth = self.random.randint(1, {"write": 60, "any": 100}.get(call, 6))
                rank = self.random.choice(["", ":rank=0", ":rank=1"])
                with program.Job(line, ranks, faults=f"{call}@.partial:kill:nth={nth}{rank}") as job:
                    result = job.wait(60)
                struck += result.code != 0
            else:
                with program.Job(line, ranks) as job:
                    time.sleep(self.random.uniform(0.2, 1.5))
                    running = job.running()
                    if self.random.random() < 0.5:
                        job.kill()
                    else:
                        job.signal_ranks(signal.SIGKILL, self.random.randrange(ranks))
                        job.wait(20)
                    struck += running
            self.check_checkpoints(folder)
        self.ok(*line, ranks=ranks)
        self.assert_same_run(folder, expected)
        print(f"{struck} kills in {rounds} starts", flush=True)


class Others(FaultTest):
    """Ranks that hang or fail alone, and other runs."""

    LONG = ["--train.steps=1000000", "--train.epochs=100000", "--train.log_every=50", "--train.evaluate_every=0", "--checkpoint.every=100"]

    def started(self, folder, line, ranks, **env):
        job = program.Job(line, ranks, **env)
        self.addCleanup(job.close)
        self.wait_until("a checkpoint", folder.checkpoints, job)
        return job

    def check_watchdog(self, name, ranks, *overrides, **env):
        folder = self.folder_of(name)
        job = self.started(folder, self.words(name, *MOMENTUM, *self.LONG, "--run.hang_timeout=2", *overrides), ranks, **env)
        victim = self.random.randrange(ranks)
        pid = job.ranks()[victim]
        began = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        result = job.wait(40)
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(result.code, HANG, result.text)
        message = [line for line in result.err.splitlines() if "run.hang_timeout" in line]
        self.assertEqual(len(message), 1, result.err)
        missing = [line for line in result.err.splitlines() if "no response for" in line or "does not respond" in line]
        self.assertEqual(len(missing), 1, result.err)
        # The others wait for it in a message or, where it was stopped while it wrote a checkpoint, for that.
        self.assertRegex(result.err, r"waiting in step \d+.*: .*\(.*\): rank\(s\) |in step \d+, .*waiting for the previous checkpoint")
        self.check_checkpoints(folder)
        stopped = int(missing[0].split("rank ")[1].split()[0])
        self.assertNotIn(f"rank {stopped} of", message[0])
        # Its files are gone with the next start, which goes on from the last checkpoint.
        last = int(folder.checkpoints()[-1].name[5:13])
        self.ok(*self.words(name, *MOMENTUM, *self.LONG, *overrides, f"--train.steps={last + 20}"), ranks=ranks, **env)
        self.assertEqual([path.name for path in folder.path.glob(".hang*")], [])
        return missing[0]

    def test_watchdog_names_a_stopped_rank(self):
        said = self.check_watchdog("stopped", 2)
        self.assertRegex(said, r"last seen in step \d+")

    def test_watchdog_between_nodes(self):
        # The stopped rank is alone on its node: nobody can say more of it.
        self.assertIn("its node does not respond", self.check_watchdog("nodes", 3, TRIREME_RANKS_PER_NODE="1"))

    def test_watchdog_with_a_model_over_ranks(self):
        self.check_watchdog("tensor", 2, "--parallel.tensor=2")

    def test_a_broken_shard_on_one_rank_ends_the_job(self):
        # Too large for the cache, so that it is read while training goes on; the error strikes one rank alone.
        for k, overrides in enumerate(([], ["--parallel.tensor=2"], ["--parallel.pipeline=2"])):
            for rank in (0, 1):
                name = f"broken{k}{rank}"
                nth = 20 if k == 2 and rank == 1 else 40  # a pipeline's last stage reads labels alone, which HDF5 keeps once it has them
                began = time.monotonic()
                result = program.run(*self.words(name, *MOMENTUM, *self.LONG, *overrides, "--data.cache=0", "--data.chunk=16", "--data.window=64", "--run.io_retries=0"),
                                     ranks=2, faults=f"read@train/:EIO:nth={nth}:rank={rank}", timeout=30)
                self.one_error(result, DATA, f"rank {rank}" if not overrides or rank == 0 else "rank", "train/", "step ")
                self.assertLess(result.seconds, 20)
                print(f"{overrides} rank {rank}: {time.monotonic() - began:.1f} s from the start of the job", flush=True)

    def test_out_of_memory_on_one_rank_ends_the_job(self):
        # Rank 1 may have 1 GiB of addresses; a pass of so many samples takes more.
        words = [str(word) for word in self.words("memory", *MOMENTUM, "--data.batch=400000")]
        limited = ["sh", "-c", 'ulimit -v 1048576; exec "$0" "$@"', program.program(), *words]
        begin = program.launcher()[:1]
        line = [*begin, "-n", "1", program.program(), *words, ":", "-n", "1", *limited]
        began = time.monotonic()
        with program.Job([], line=line) as job:
            result = job.wait(60)
        self.one_error(result, 1, "error on rank 1 of 2", "out of memory", "Hint: ")
        print(f"{time.monotonic() - began:.1f} s from the start of the job", flush=True)

    def test_a_later_run_takes_the_directory_over(self):
        folder = self.folder_of("owner")
        for ranks in (1, 2):
            line = self.words("owner", *MOMENTUM)
            orphan = self.started(folder, [*line, *self.LONG], ranks)
            at = int(folder.checkpoints()[-1].name[5:13])
            steps = at + 1000
            other = self.ok(*line, *self.LONG, f"--train.steps={steps}", "--train.log_every=1")
            result = orphan.wait(20)
            self.one_error(result, SUPERSEDED, "taken over by a later run", "owner")
            self.assertIn("done", other.out)
            recorded = [e["step"] for e in folder.events("step") if e["step"] > at + 200]
            self.assertEqual(len(recorded), len(set(recorded)), "two runs wrote into one record")
            self.assert_tidy(folder)
            self.check_checkpoints(folder)
            shutil.rmtree(folder.path)

    def test_a_checkpoint_that_goes_while_it_is_read(self):
        """An earlier run that still writes removes old checkpoints: the newest one seen at a start may be gone before it is read to its end."""
        for nth in range(1, 6):
            with self.subTest(open=nth):
                folder, line = self.folder_of(f"goes-{nth}"), self.words(f"goes-{nth}", *MOMENTUM)
                self.ok(*line)
                gone = folder.checkpoints()[-1]
                job = program.Job(line, 1, faults=f"open@{gone.name}:stop:nth={nth}:count=1")
                self.addCleanup(job.close)
                self.wait_until("it is stopped or over", lambda: any(state_of(pid) == "T" for pid in job.ranks()) or not job.running())
                if not job.running():
                    self.assertGreater(nth, 2, "a start opens the newest checkpoint at least twice")
                    break
                gone.unlink()
                job.signal_ranks(signal.SIGCONT)
                result = job.wait(30)
                self.assertEqual(result.code, 0, result.text)
                self.assert_same_run(folder, self.expected(*MOMENTUM))

    def test_an_orphan_that_was_stopped_within_a_checkpoint(self):
        """It awakes long after, with a file half written: that file never gets a name, and nothing of the later run is touched."""
        for call in ("open", "write", "fsync", "rename"):
            with self.subTest(call=call):
                folder, line = self.folder_of(f"asleep-{call}"), self.words(f"asleep-{call}", *MOMENTUM)
                orphan = program.Job(line, 1, faults=f"{call}@step-00000033:stop:count=1")
                self.addCleanup(orphan.close)
                self.wait_until("it is stopped", lambda: any(state_of(pid) == "T" for pid in orphan.ranks()), orphan)
                self.ok(*line)
                before = {path.name: path.read_bytes() for path in folder.checkpoints()}
                orphan.signal_ranks(signal.SIGCONT)
                self.one_error(orphan.wait(20), SUPERSEDED, "taken over by a later run")
                self.assertEqual({path.name: path.read_bytes() for path in folder.checkpoints()}, before)
                self.assert_same_run(folder, self.expected(*MOMENTUM))

    def test_a_refused_start_and_a_dry_run_leave_a_run_alone(self):
        folder = self.folder_of("alone")
        job = self.started(folder, self.words("alone", *MOMENTUM, *self.LONG), 1)
        self.assertEqual(program.run(*self.words("alone", *MOMENTUM, "--data.scale=1")).code, CHECKPOINT)
        self.ok(*self.words("alone", *MOMENTUM, "--dry-run"))
        time.sleep(1.5)
        self.assertTrue(job.running(), job.said())
        job.signal_ranks(signal.SIGTERM)
        self.assertEqual(job.wait(20).code, program.REQUEUE)


NUMBERS = """
[run]
seed = 5
[data]
train = {data}
batch = 10
[model]
input = 4
layer = linear name=hidden out=8
layer = tanh
layer = linear name=head out=1
[loss]
kind = mse
[optimizer]
kind = sgd
lr = 0.05
[train]
epochs = 6
log_every = 1
[checkpoint]
every = 7
"""


class Numbers(FaultTest):
    def make(self, name, scale=1.0, poison=False):
        draw = random.Random(7)
        rows = [[draw.gauss(0, scale) for _ in range(4)] for _ in range(80)]
        lines = ["a,b,c,d,y"] + [",".join(f"{x:.6g}" for x in row) + f",{sum(row) / 4:.6g}" for row in rows]
        if poison:  # a target whose square is no float: one batch an epoch has an infinite loss
            lines[30] = "1,1,1,1,3e30"
        (self.folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
        self.ok("shard", "csv", self.folder / f"{name}.csv", "--out", self.folder / name, "--shards", "2", "--test", "0")
        return self.write_deck(NUMBERS.format(data=self.folder / name / "train"), f"{name}.ini")

    def test_stop_and_skip(self):
        deck = self.make("poisoned", poison=True)
        result = program.run("train", deck, f"--run.output={self.folder / 'stop'}", ranks=2)
        self.one_error(result, NUMERICAL, "is inf")
        digests = {}
        for ranks, overrides in ((1, []), (2, []), (2, ["--parallel.tensor=2"]), (2, ["--parallel.pipeline=2"]), (2, ["--optimizer.shard=true"])):
            with self.subTest(ranks=ranks, overrides=overrides):
                folder = self.folder_of(f"skip{len(digests)}")
                result = self.ok("train", deck, f"--run.output={folder.path}", "--numerics.on_nonfinite=skip", *overrides, ranks=ranks)
                skips = [e["step"] for e in folder.events("skip")]
                self.assertEqual(len(skips), 6, "one batch an epoch")
                self.assertIn(f"step {skips[0]} is skipped", result.text)
                self.assertEqual(folder.events("end")[-1]["skipped"], 6)
                self.assertTrue(all(e["loss"] is None or e["loss"] < 1e6 for e in folder.events("step")))
                digests[len(digests)] = folder.digest()
                # Stopped and started again: the same bits.
                parts = self.folder_of(f"parts{len(digests)}")
                for steps in (11, 48):
                    self.ok("train", deck, f"--run.output={parts.path}", "--numerics.on_nonfinite=skip", f"--train.steps={steps}", *overrides, ranks=ranks)
                self.assertEqual(parts.digest(), folder.digest())
        self.assertEqual(digests[1], digests[4])

    def test_too_many_skips(self):
        deck = self.make("all", scale=1e30)
        result = program.run("train", deck, f"--run.output={self.folder / 'all-run'}", "--numerics.on_nonfinite=skip", "--numerics.tries=4", ranks=2)
        self.one_error(result, NUMERICAL, "4 consecutive step(s)")

    def test_rollback(self):
        deck = self.make("steep")
        words = ["train", deck, "--optimizer.lr=40", "--numerics.on_nonfinite=rollback", "--numerics.rollback_lr=0.01"]
        for ranks in (1, 2):
            folder = self.folder_of(f"rolled{ranks}")
            result = program.run(*words, f"--run.output={folder.path}", ranks=ranks)
            self.assertEqual(result.code, 0, result.text)
            rolled = folder.events("rollback")
            self.assertGreaterEqual(len(rolled), 1, result.text)
            self.assertIn("rolled back from step", result.text)
            self.assertEqual(sorted(folder.losses()), list(range(1, 49)), "one record of each step")
            self.assertLess(folder.events("end")[-1]["step"], 49)
            # Stopped in between, also where its last step's parameters are lost already.
            parts = self.folder_of(f"rolled-parts{ranks}")
            for steps in (20, 40, 48):
                self.ok(*words, f"--run.output={parts.path}", f"--train.steps={steps}", ranks=ranks)
            self.assertTrue(all(loss is not None for loss in parts.losses().values()))

    def test_rollback_has_a_limit(self):
        deck = self.make("poisoned2", poison=True)
        result = program.run("train", deck, f"--run.output={self.folder / 'limit'}", "--numerics.on_nonfinite=rollback", "--numerics.tries=3")
        self.one_error(result, NUMERICAL, "after 3 rollbacks")


if __name__ == "__main__":
    program.main()
