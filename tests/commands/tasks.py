#!/usr/bin/env python3
"""Jobs of many tasks: a queue that goes on when tasks fail, tasks that average or compete, ensembles of what they leave."""

import csv
import json
import math
import os
import shutil
import signal
import subprocess

from trained import decks, program, read_array

DECK = decks.digits(["flatten", "linear name=hidden out=16", "relu", "linear name=head out=10"], run={"name": "job", "seed": 3}, task={"mode": "independent"},
                    data={"batch": 32, "test_batch": 50}, optimizer={"lr": 0.05, "momentum": 0.9}, train={"epochs": 2, "log_every": 5})


class Tasks(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.data = self.make_digits()
        self.deck = self.write_deck(DECK.format(data=self.data))
        self.out = self.folder / "job"

    def words(self, *overrides):
        return ["train", self.deck, f"--run.output={self.out}", *overrides]

    def records(self):
        return json.loads((self.out / "tasks.json").read_text())["tasks"]

    def task(self, number):
        return program.RunFolder(self.out / "tasks" / f"{number:03}")

    def single(self, name, *overrides, ranks=1):
        self.ok("train", self.deck, "--task.mode=none", f"--run.output={self.folder / name}", *overrides, ranks=ranks)
        return program.RunFolder(self.folder / name)

    def refused(self, words, code, *said, ranks=1):
        result = program.run(*words, ranks=ranks)
        self.assertEqual(result.code, code, result.text)
        self.assertEqual(len(result.errors()), 1, result.text)
        for part in said:
            self.assertIn(part, result.errors()[0])

    # A queue

    def test_failing_tasks_do_not_stop_the_others(self):
        table = self.folder / "table.csv"
        table.write_text(f"optimizer.lr,data.train\n0.05,\n1e30,\n0.02,\nmuch,\n0.1,{self.folder / 'nowhere'}\n0.1,\n")
        result = program.run(*self.words(f"--task.table={table}"), ranks=2)
        self.assertEqual(result.code, 5, result.text)  # of the first that failed
        records = self.records()
        self.assertEqual([record["status"] for record in records], ["done", "failed", "done", "failed", "failed", "done"])
        self.assertEqual([record["code"] for record in records], [0, 5, 0, 2, 3, 0])
        for number, said in ((1, "Training cannot continue"), (3, "much"), (4, "nowhere")):
            self.assertIn(said, records[number]["message"])
            self.assertIn(f"task {number:03} failed (code {records[number]['code']}): {records[number]['message']}", result.out)
        self.assertIn("Training cannot continue", (self.task(1).path / "log.txt").read_text())
        with open(self.out / "tasks.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row["optimizer.lr"] for row in rows], ["0.05", "1e30", "0.02", "much", "0.1", "0.1"])
        self.assertEqual(rows[4]["message"], records[4]["message"])
        # Each is the run that the deck with its changes is.
        for number, rate in ((0, 0.05), (2, 0.02), (5, 0.1)):
            whole = self.single(f"single{number}", f"--optimizer.lr={rate}")
            self.assertEqual(self.task(number).digest(), whole.digest())
            self.assertEqual(self.task(number).losses(), whole.losses())
            end = whole.events("end")[-1]
            self.assertEqual(records[number]["parameters_sha256"], end["parameters_sha256"])
            self.assertEqual(records[number]["test"]["accuracy"], end["test"]["accuracy"])
            self.assertEqual(float(rows[number]["test_loss"]), end["test"]["loss"])
        # What the tasks say goes to their own logs.
        self.assertNotIn("epoch 1", result.out)
        self.assertIn("epoch 1", (self.task(0).path / "log.txt").read_text())
        self.assertIn("accuracy", (self.out / "log.txt").read_text())

        # Again: what is done is left alone, the others are tried again, on other groups.
        table.write_text(table.read_text().replace(str(self.folder / "nowhere"), str(self.folder / "later")))
        self.refused(self.words(f"--task.table={table}"), 4, "task 004 was", "nowhere", "later")
        table.write_text(table.read_text().replace(str(self.folder / "later"), str(self.folder / "nowhere")) + "0.03,\n")
        os.symlink(self.data / "train", self.folder / "nowhere")
        before = (self.task(0).path / "metrics.jsonl").read_bytes()
        result = program.run(*self.words(f"--task.table={table}"))
        self.assertEqual(result.code, 5, result.text)
        self.assertEqual([record["status"] for record in self.records()], ["done", "failed", "done", "failed", "done", "done", "done"])
        self.assertEqual((self.task(0).path / "metrics.jsonl").read_bytes(), before)
        self.assertIn("3 of the tasks are already done", result.out)
        # Longer: all that can go on does.
        result = program.run(*self.words(f"--task.table={table}", "--train.epochs=3"))
        self.assertEqual(self.task(0).digest(), self.single("longer", "--train.epochs=3").digest())

    def test_groups_of_several_ranks(self):
        result = self.ok(*self.words("--task.sweep=run.seed: 1..5", "--task.groups=2"), ranks=4)
        self.assertIn("5 tasks (independent) on 2 group(s) of 2 rank(s)", result.out)
        for number in range(5):
            self.assertEqual(self.task(number).digest(), self.single(f"single{number}", f"--run.seed={number + 1}", ranks=2).digest())
        self.assertEqual(len({record["group"] for record in self.records()}), 2, "one group did all")

    def test_a_signal_to_one_rank_stops_all_and_a_restart_continues(self):
        endless = ["--task.sweep=run.seed: 1..3", "--train.epochs=1000000"]  # no task ends before the signal, however late it comes
        with program.Job(self.words(*endless), ranks=2) as job:
            self.wait_until("both groups train", lambda: all(self.task(k).events("step") for k in (0, 1)), job)
            job.signal_ranks(signal.SIGTERM, which=1)
            result = job.wait()
        self.assertEqual(result.code, program.REQUEUE, result.text)
        status = [record["status"] for record in self.records()]
        self.assertEqual(status[2], "waiting")
        self.assertEqual(set(status[:2]), {"stopped"}, result.text)
        stopped_at = [int(self.task(number).checkpoints()[-1].stem.partition("-")[2]) for number in (0, 1)]
        words = ["--train.epochs=1000000", f"--train.steps={max(stopped_at) + 20}"]
        self.ok(*self.words(endless[0], *words), ranks=2)
        for number in range(3):
            self.assertEqual(self.task(number).digest(), self.single(f"single{number}", f"--run.seed={number + 1}", *words).digest())

    def test_a_rank_that_dies_ends_the_job_and_a_restart_continues(self):
        words = self.words("--task.sweep=run.seed: 1, 2", "--task.groups=1", "--checkpoint.every=10")
        with program.Job([*words, "--train.epochs=200"], ranks=2) as job:
            self.wait_until("the task has a checkpoint", lambda: self.task(0).checkpoints(), job)
            job.signal_ranks(signal.SIGKILL, which=1)
            self.assertNotEqual(job.wait().code, 0)
        self.assertEqual([record["status"] for record in self.records()], ["running", "waiting"])
        self.ok(*words, "--train.epochs=200", "--train.steps=400", ranks=2)
        self.assertEqual(self.task(0).digest(), self.single("single", "--run.seed=1", "--train.epochs=200", "--train.steps=400", ranks=2).digest())

    def test_what_does_not_fit_is_refused(self):
        self.refused(self.words(), 2, "task.sweep", "Hint")
        self.refused(self.words("--task.sweep=optimzer.lr: 1"), 2, "did you mean 'optimizer.lr'")
        self.refused(self.words("--task.sweep=run.seed: 1..4", "--task.groups=2"), 2, "multiple of 2", ranks=3)
        self.refused(self.words("--task.table=/there/is/no.csv"), 2, "/there/is/no.csv")
        self.refused(self.words("--task.mode=average", "--task.sweep=run.stream: 1..3"), 2, "3 groups", "multiple of 3", ranks=2)
        self.refused(self.words("--task.mode=average", "--task.weights=1,2,3"), 2, "3 number(s)", "2 tasks", ranks=2)
        self.refused(self.words("--task.mode=tournament"), 2, "task.held_out", ranks=2)
        self.refused(self.words("--task.mode=average", "--numerics.on_nonfinite=rollback"), 2, "on_nonfinite = rollback", ranks=2)
        self.refused(self.words("--task.mode=average", "--task.sweep=train.steps: 3, 4", f"--run.output={self.folder / 'other'}"), 2, "number of steps", ranks=2)

    def test_a_dry_run_builds_each_task(self):
        self.ok(*self.words("--task.sweep=run.seed: 1..3", "--dry-run"), ranks=2)
        self.assertEqual([record["status"] for record in self.records()], ["built"] * 3)
        self.assertEqual([self.task(number).checkpoints() for number in range(3)], [[]] * 3)
        result = program.run(*self.words("--task.sweep=optimizer.lr: 0.1, much", f"--run.output={self.folder / 'other'}", "--dry-run"))
        self.assertEqual(result.code, 2, result.text)
        self.ok(*self.words("--task.sweep=run.seed: 1..3"), ranks=2)
        self.ok(*self.words("--task.mode=average", f"--run.output={self.folder / 'average'}", "--dry-run"), ranks=2)

    # Tasks that meet

    def test_average_leaves_one_model(self):
        self.ok(*self.words("--task.mode=average", "--task.groups=2", "--task.every=7"), ranks=4)
        digests = {self.task(number).digest() for number in range(2)}
        self.assertEqual(len(digests), 1)
        self.assertNotEqual(self.task(0).losses(), self.task(1).losses(), "the tasks saw the same samples")
        found = self.ok("evaluate", self.out, "--json").json()
        expected = self.task(0).events("end")[-1]["test"]
        self.assertAlmostEqual(found["loss"], expected["loss"], delta=1e-6)
        self.assertEqual(found["accuracy"], expected["accuracy"])
        # With the samples of one task alone it is that task's run.
        shutil.rmtree(self.out)
        self.ok(*self.words("--task.mode=average", "--task.weights=1,0", "--task.every=7"), ranks=2)
        self.assertEqual(self.task(1).digest(), self.single("alone").digest())

    def check_restart(self, *overrides):
        long = ["--train.epochs=100", "--task.every=9", "--checkpoint.every=20", *overrides]
        self.ok(*self.words(*long), ranks=2)
        whole = [self.task(number).digest() for number in range(2)]
        shutil.rmtree(self.out)
        for kill in (False, True):
            for which in (0, 1):
                with program.Job(self.words(*long), ranks=2) as job:
                    at = len(self.task(which).events("checkpoint"))
                    self.wait_until("a checkpoint more", lambda: len(self.task(which).events("checkpoint")) > at + 1, job)
                    if kill:
                        job.kill()
                        continue
                    job.signal_ranks(signal.SIGTERM, which=which)
                    result = job.wait()
                self.assertEqual(result.code, program.REQUEUE, result.text)
                self.assertEqual([record["status"] for record in self.records()], ["stopped", "stopped"])
        self.ok(*self.words(*long), ranks=2)
        self.assertEqual([self.task(number).digest() for number in range(2)], whole)

    def test_average_continues_bit_for_bit(self):
        self.check_restart("--task.mode=average", "--task.start=30")

    def test_tournament_continues_bit_for_bit(self):
        self.check_restart("--task.mode=tournament", f"--task.held_out={self.make_digits('held', train=60, test=60, shards=1, seed=9) / 'test'}")

    def test_a_kill_between_the_checkpoints_of_two_tasks(self):
        words = ["--task.mode=average", "--task.every=9", "--checkpoint.every=20", "--train.epochs=100"]
        self.ok(*self.words(*words, "--train.steps=60"), ranks=2)
        whole = [self.task(number).digest() for number in range(2)]
        shutil.rmtree(self.out)
        self.ok(*self.words(*words, "--train.steps=40"), ranks=2)
        self.task(1).checkpoints()[-1].unlink()  # of step 40; that of step 20 is left, two exchanges before
        result = self.ok(*self.words(*words, "--train.steps=60"), ranks=2)
        self.assertIn("step-00000040.h5' is removed and its steps are repeated", result.err)
        self.assertEqual([self.task(number).digest() for number in range(2)], whole)
        # None at all is left of one: all begin anew.
        for file in self.task(0).checkpoints():
            file.unlink()
        self.ok(*self.words(*words, "--train.steps=60"), ranks=2)
        self.assertEqual([self.task(number).digest() for number in range(2)], whole)
        # A damaged one is passed over, and the other goes back with it.
        newest = self.task(0).checkpoints()[-1]
        newest.write_bytes(newest.read_bytes()[:-5000])
        self.ok(*self.words(*words, "--train.steps=60"), ranks=2)
        self.assertEqual([self.task(number).digest() for number in range(2)], whole)

    def kept(self):
        """Every file of the job except the mark of its exit, with its content."""
        return {path: path.read_bytes() for path in self.out.rglob("*") if path.is_file() and path.name != "exit_code"}

    def test_another_number_of_tasks_that_meet(self):
        held = self.make_digits("held", train=60, test=60, shards=1, seed=9) / "test"
        for mode in (["--task.mode=average"], ["--task.mode=tournament", f"--task.held_out={held}"]):
            for first, second in (("--train.steps=38", "--train.steps=38"), ("--train.steps=20", "--train.steps=38")):  # finished; to be extended
                shutil.rmtree(self.out, ignore_errors=True)
                words = self.words(*mode, "--task.every=4", "--checkpoint.every=4")
                self.ok(*words, first, ranks=2)
                before = self.kept()
                for ranks in (1, 3):
                    self.refused([*words, second], 4, "it had 2, now there are", "2 groups of ranks", ranks=ranks)
                    self.assertEqual(self.kept(), before)
                self.ok(*words, second, ranks=2)

    def test_a_finished_job_refuses_other_exchanges(self):
        held = self.make_digits("held", train=60, test=60, shards=1, seed=9)
        average = (["--task.mode=average", "--task.every=4", "--task.start=2"],
                   (("--task.every=3", "task.every: 4 -> 3"), ("--task.start=3", "task.start: 2 -> 3"),
                    ("--task.weights=1,2", "task.weights: (nothing) -> 1")))
        tournament = (["--task.mode=tournament", "--task.every=4", f"--task.held_out={held}/test"],
                      (("--task.every=3", "task.every: 4 -> 3"), (f"--task.held_out={held}/train", "task.held_out: ")))
        for mode, changes in (average, tournament):
            shutil.rmtree(self.out, ignore_errors=True)
            words = self.words(*mode, "--train.steps=20")
            self.ok(*words, ranks=2)
            mean = self.out / "checkpoints" / "step-00000020.h5"
            before = mean.read_bytes()
            for change, said in changes:
                for _ in range(2):
                    result = program.run(*words, change, ranks=2)
                    self.assertEqual(result.code, 4, result.text)
                    for error in result.errors():  # of one task, or of each
                        for part in ("the run is finished", said, "Hint"):
                            self.assertIn(part, error)
                    self.assertEqual(mean.read_bytes(), before)
            self.ok(*words, ranks=2)
            self.ok(*words, "--task.every=3", "--train.steps=30", ranks=2)  # what is left is trained with it
        # To a queue, and to a run by itself, these keys mean nothing.
        for number, words in enumerate((["--task.sweep=run.seed: 1, 2"], ["--task.mode=none"])):
            self.out = self.folder / f"alone{number}"
            for every in (4, 3):
                self.ok(*self.words(*words, "--train.steps=20", f"--task.every={every}"), ranks=1)

    def test_a_job_that_is_extended_and_killed_at_once(self):
        words = ["--task.mode=average", "--task.every=9", "--checkpoint.every=9", "--train.epochs=4"]
        self.ok(*self.words(*words, "--train.steps=40"), ranks=2)
        # One task has recorded the new end, the other has not. Both checkpoints of step 40 hold the mean.
        with open(self.task(0).path / "metrics.jsonl", "a") as file:
            file.write('{"event":"start","step":40,"total_steps":60}\n')
        result = self.ok(*self.words(*words, "--train.steps=60"), ranks=2)
        self.assertNotIn("is removed", result.text)
        for number in range(2):
            self.assertEqual(self.task(number).events("start")[-1]["step"], 40)

    def test_an_unreadable_checkpoint_of_one_task_removes_none_of_the_others(self):
        words = self.words("--task.mode=average", "--task.every=9", "--checkpoint.every=9", "--train.steps=38")
        self.ok(*words, ranks=2)
        before = {file: file.read_bytes() for number in range(2) for file in self.task(number).checkpoints()}
        self.assertEqual(len(before), 4)
        result = program.run(*words, ranks=2, faults="open@tasks/001/checkpoints/step-00000038.h5:EACCES")
        self.assertEqual(result.code, 4, result.text)
        self.assertIn("tasks/001/checkpoints/step-00000038.h5' cannot be read: Permission denied", result.errors()[0])
        self.assertEqual({file: file.read_bytes() for number in range(2) for file in self.task(number).checkpoints()}, before)

    def test_a_tournament_keeps_the_better_model(self):
        held = self.make_digits("held", train=60, test=60, shards=1, seed=9) / "test"
        # The second learns nothing, so it must take the first one's model at the last meeting.
        self.ok(*self.words("--task.mode=tournament", "--task.every=19", "--train.steps=38", f"--task.held_out={held}",
                            "--task.sweep=optimizer.lr: 0.05, 0"), ranks=2)
        records = self.records()
        self.assertEqual(self.task(0).digest(), self.task(1).digest())
        self.assertEqual((records[0]["lost"], records[1]["lost"]), (0, 2))
        self.assertEqual(self.task(0).digest(), self.single("alone", "--train.steps=38").digest())
        found = self.ok("evaluate", self.out, "--data", held, "--json").json()
        self.assertAlmostEqual(found["loss"], records[0]["held_out_loss"], delta=1e-6)

    def test_tasks_whose_models_lie_on_several_ranks(self):
        held = self.make_digits("held", train=60, test=60, shards=1, seed=9) / "test"
        for number, grid in enumerate(("--parallel.tensor=2", "--parallel.pipeline=2")):
            self.out = self.folder / f"spread-{number}"
            self.ok(*self.words("--task.mode=tournament", "--task.groups=2", "--task.every=19", "--train.steps=38", f"--task.held_out={held}",
                                "--task.sweep=optimizer.lr: 0.05, 0", grid), ranks=4)
            records = self.records()
            self.assertEqual(self.task(0).digest(), self.task(1).digest())
            self.assertEqual((records[0]["lost"], records[1]["lost"]), (0, 2))
            found = self.ok("evaluate", self.out, "--data", held, "--json").json()
            self.assertAlmostEqual(found["loss"], records[0]["held_out_loss"], delta=1e-5)

    def test_an_error_in_a_task_that_others_need_ends_the_job(self):
        self.refused(self.words("--task.mode=average", "--task.sweep=optimizer.lr: 0.05, 1e30"), 5, "task 001", "Training cannot continue", ranks=2)

    # Ensembles

    def test_an_ensemble_is_the_mean_of_its_members(self):
        self.ok(*self.words("--task.sweep=run.seed: 1..3"), ranks=2)
        names = [self.out / "tasks" / f"{number:03}" for number in range(3)]
        outputs = []
        for name in names:
            self.ok("predict", name, "--out", self.folder / "one.h5", "--force")
            outputs.append(read_array(self.folder / "one.h5", "/output", "f"))
        rows = len(outputs[0]) // 10
        expected = []
        for row in range(rows):
            mean = [0.0] * 10
            for output in outputs:
                scores = output[10 * row:10 * row + 10]
                powers = [math.exp(score - max(scores)) for score in scores]
                for c in range(10):
                    mean[c] += powers[c] / sum(powers) / 3
            expected += mean
        for number, words in enumerate((self.out, ",".join(map(str, names)))):
            file = self.folder / f"ensemble{number}.h5"
            self.ok("predict", "--ensemble", words, "--out", file, ranks=1 + number)
            found = read_array(file, "/output", "f")
            self.assertEqual(len(found), len(expected))
            self.assertLess(max(abs(a - b) for a, b in zip(found, expected)), 1e-5)
            classes = read_array(file, "/class", "i")
            self.assertEqual(classes, [found[10 * r:10 * r + 10].index(max(found[10 * r:10 * r + 10])) for r in range(rows)])
        metrics = self.ok("evaluate", "--ensemble", self.out, "--json", ranks=2).json()
        self.assertEqual((metrics["samples"], len(metrics["members"])), (rows, 3))
        confusion = metrics["confusion"]
        predicted = [sum(row[c] for row in confusion) for c in range(10)]
        self.assertEqual(predicted, [classes.count(c) for c in range(10)])
        # One member: its own metrics.
        one = self.ok("evaluate", "--ensemble", names[0], "--json").json()
        alone = self.ok("evaluate", names[0], "--json").json()
        self.assertEqual(one["confusion"], alone["confusion"])
        self.assertAlmostEqual(one["loss"], alone["loss"], delta=1e-5)

    def test_members_that_do_not_fit(self):
        self.single("one")
        other = self.write_deck(DECK.format(data=self.data).replace("name=head out=10", "name=head out=11"), "other.ini")
        self.ok("train", other, "--task.mode=none", f"--run.output={self.folder / 'two'}")
        self.refused(["evaluate", "--ensemble", f"{self.folder / 'one'},{self.folder / 'two'}"], 2, "11", "10", "two")
        self.refused(["predict", "--ensemble", f"{self.folder / 'one'},{self.folder / 'none'}", "--out", self.folder / "p.h5"], 4, "none")

    def test_the_plot(self):
        plot = program.ROOT / "scripts" / "plot"
        if subprocess.run([plot, "--help"], capture_output=True).returncode != 0:
            self.skipTest("no Python with matplotlib")
        program.run(*self.words("--task.sweep=run.seed: 1, 2; optimizer.lr: 0.1, 1e30"), ranks=2)
        done = subprocess.run([plot, self.out], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.out / "tasks.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")


if __name__ == "__main__":
    program.main()
