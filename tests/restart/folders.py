#!/usr/bin/env python3
"""Run directories: errors while they are looked at lose nothing, other people's files in them stay as they are, and names may be of any bytes."""

import json
import os
import subprocess

from restart_test import MOMENTUM, RestartTest, program

CHECKPOINT = 4


def contents(path):
    return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}


class Folders(RestartTest):
    def refused(self, *words, said=(), **env):
        result = program.run(*words, **env)
        self.assertEqual(result.code, CHECKPOINT, result.text)
        self.assertEqual(len(result.errors()), 1, result.text)
        for part in said:
            self.assertIn(part, result.errors()[0])
        return result

    def begun(self, name="run"):
        folder = program.RunFolder(self.folder / name)
        self.ok(*self.words(name, *MOMENTUM, "--train.steps=40"))
        return folder

    def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(self):
        whole = self.whole(*MOMENTUM, "--train.steps=80")
        for k, fault in enumerate(("list@run0/checkpoints:EIO:count=1", "list@run1/checkpoints:ESTALE:nth=2:count=1", "list@run2/checkpoints:EACCES:count=1",
                                   "read@metrics.jsonl:EIO:count=1", "open@metrics.jsonl:ESTALE:count=1", "read@log.txt:EACCES:count=1",
                                   "open@owner.json:EIO:count=1")):
            with self.subTest(fault=fault):
                folder = self.begun(f"run{k}")
                result = self.ok(*self.words(f"run{k}", *MOMENTUM, "--train.steps=80"), faults=fault)
                self.assertIn("this may be temporary", result.text)
                self.assertIn("at step 40", result.text)
                self.assert_same_run(folder, whole)
        folder = self.begun("stays")
        before = contents(folder.path), [path.read_bytes() for path in folder.checkpoints()]
        for fault in ("list@stays/checkpoints:EACCES", "read@metrics.jsonl:EIO", "list@stays:ESTALE"):
            with self.subTest(fault=fault):
                result = self.refused(*self.words("stays", *MOMENTUM), faults=fault)
                self.assertIn("Hint", result.errors()[0])
                found = contents(folder.path)
                self.assertEqual((found["metrics.jsonl"], found["deck.ini"]), (before[0]["metrics.jsonl"], before[0]["deck.ini"]))
                self.assertEqual([path.read_bytes() for path in folder.checkpoints()], before[1])
        self.refused(*self.words("stays", *MOMENTUM, "--checkpoint.resume=never"), ranks=2, faults="list@stays/checkpoints:EIO")

    def test_lines_that_are_no_records(self):
        folder = self.begun()
        whole = self.whole(*MOMENTUM, "--train.steps=80")
        with open(folder.path / "metrics.jsonl", "a") as file:
            file.write('null\n7\n[]\n{"event": "step", "step": "x"}\n{"event": 5, "step": 3}\n{"torn')
        self.ok(*self.words("run", *MOMENTUM, "--train.steps=80"))
        lines = [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual([line["step"] for line in lines if line["event"] == "step" and line["step"] != "x"], list(range(1, 81)))
        self.assertEqual(folder.digest(), whole.digest())

    def test_an_owner_of_another_form(self):
        for text in ('{"token": 5}', '{"token": "x", "process": "y", "host": 7}', "null", ""):
            folder = self.begun(f"owner{len(text)}")
            (folder.path / "owner.json").write_text(text)
            self.ok(*self.words(folder.path.name, *MOMENTUM, "--train.steps=45"))
            job = program.Job(self.words(folder.path.name, *MOMENTUM, "--train.steps=1000000", "--checkpoint.every=2000"))
            self.addCleanup(job.close)
            self.wait_until("it trains", lambda: len(folder.checkpoints()) and folder.events("start")[-1]["total_steps"] > 45, job)
            (folder.path / "owner.json").write_text(text)
            result = job.wait(30)
            self.assertEqual(result.code, 76, result.text)
            self.assertIn("taken over", result.text)

    def test_names_that_are_not_unicode(self):
        name = os.fsdecode(b"run-\xff\xe9")
        self.ok(*self.words(name, *MOMENTUM, "--train.steps=20", "--run.name=" + os.fsdecode(b"n\xff")))
        folder = program.RunFolder(self.folder / name)
        self.assertEqual(len(folder.events("end")), 1)
        self.ok("inspect", folder.path, "--json")
        self.ok("evaluate", folder.path, "--json")
        self.ok(*self.words(name, *MOMENTUM, "--train.steps=40", "--run.name=" + os.fsdecode(b"n\xff")))
        self.assertEqual(folder.events("end")[-1]["step"], 40)

    def test_other_peoples_folders(self):
        own = self.folder / "own"
        own.mkdir()
        (own / "deck.ini").write_text("# mine\n" + self.deck.read_text())
        (own / "notes.partial").write_text("keep")
        before = contents(own)
        for words in ([], ["--dry-run"], ["--task.mode=independent", "--task.sweep=run.seed: 1, 2"]):
            self.refused("train", self.deck, f"--run.output={own}", *words, said=("'deck.ini'", "own", "Hint"))
            self.assertEqual(contents(own), before)
            self.assertEqual(sorted(path.name for path in own.iterdir()), ["deck.ini", "notes.partial"])
        for name in ("deck.ini", "log.txt", "exit_code", "trace.json", "metrics.jsonl"):
            other = self.folder / f"with-{name}"
            other.mkdir()
            (other / name).write_text("7\n")
            self.refused("train", self.deck, f"--run.output={other}", said=(name,), ranks=2)
            self.assertEqual(contents(other), {name: b"7\n"})
        # A run's folder in which somebody put something: it stays.
        folder = self.begun()
        (folder.path / "plot.partial").write_text("x")
        (folder.path / "predictions.h5").write_text("y")
        self.ok(*self.words("run", *MOMENTUM, "--train.steps=45"))
        self.assertEqual((folder.path / "plot.partial").read_text() + (folder.path / "predictions.h5").read_text(), "xy")

    def test_paths_whose_parts_do_not_exist_yet(self):
        own = self.folder / "own"
        own.mkdir()
        (own / "deck.ini").write_text("# mine\n" + self.deck.read_text())
        for path in (own / "new" / "..", f"{own}/new/../", own / "new" / "newer" / ".." / "..", own / "new" / ".." / ".." / "own"):
            for words in ([], ["--dry-run"], ["--task.mode=independent", "--task.sweep=run.seed: 1, 2"]):
                before = contents(own)
                self.refused("train", self.deck, f"--run.output={path}", *words, said=("'deck.ini'", str(own), "Hint"))
                self.assertEqual(contents(own), before)
                self.assertEqual([entry.name for entry in own.iterdir()], ["deck.ini"])
        # The folder runs/ of the default does not exist, so runs/.. is the working directory.
        result = subprocess.run([*program.command_line(["train", self.deck, "--run.name=.."], 1)], cwd=own, capture_output=True, text=True,
                                env=program.environment())
        self.assertEqual(result.returncode, CHECKPOINT, result.stderr)
        self.assertEqual([entry.name for entry in own.iterdir()], ["deck.ini"])
        # Where nothing is overwritten, such a path is a path like any other.
        for steps in (5, 7):
            self.ok(*self.words("fresh/new/newer/../..", *MOMENTUM, f"--train.steps={steps}"))
            self.assertEqual(len(program.RunFolder(self.folder / "fresh").checkpoints()), 2 if steps == 7 else 1)

    def test_a_run_and_a_job_do_not_share_a_folder(self):
        everything = lambda path: {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}  # noqa: E731
        jobs = {"average": ["--task.mode=average"], "tournament": ["--task.mode=tournament", f"--task.held_out={self.make_digits()}/test"],
                "independent": ["--task.mode=independent", "--task.sweep=run.seed: 1, 2"]}
        single = self.begun("single")
        before = everything(single.path)
        for words in jobs.values():
            for more in ([], ["--dry-run"]):
                self.refused(*self.words("single", *MOMENTUM, "--train.steps=40", *words, *more), ranks=2,
                             said=("holds a single run", "task.mode = none", "Hint"))
                self.assertEqual(everything(single.path), before)
        for mode, words in jobs.items():
            self.ok(*self.words(mode, *MOMENTUM, "--train.steps=20", *words), ranks=2)
            before = everything(self.folder / mode)
            for more in ([], ["--dry-run"]):
                self.refused(*self.words(mode, *MOMENTUM, "--train.steps=40", *more), said=(f"a job of 2 tasks (task.mode = {mode})", "Hint"))
                self.assertEqual(everything(self.folder / mode), before)
            # Without its list of tasks it is still a job.
            (self.folder / mode / "tasks.json").unlink()
            before = everything(self.folder / mode)
            self.refused(*self.words(mode, *MOMENTUM, "--train.steps=40"), said=("tasks of a job", "Hint"))
            self.refused(*self.words(mode, *MOMENTUM, "--train.steps=20", *words), said=("tasks.json, is missing", "Hint"), ranks=2)
            self.assertEqual(everything(self.folder / mode), before)

    def test_folders_that_are_none(self):
        (self.folder / "file").write_text("x")
        (self.folder / "link").symlink_to(self.folder / "nowhere")
        for name, said in (("file", "is a file"), ("file/run", "not a folder"), ("link", "symbolic link")):
            for ranks in (1, 2):
                self.refused("train", self.deck, f"--run.output={self.folder / name}", said=(str(self.folder / name), said, "Hint"), ranks=ranks)
        self.assertEqual((self.folder / "file").read_text(), "x")
        self.assertFalse((self.folder / "nowhere").exists())

    def test_a_dry_run_refuses_what_a_run_refuses(self):
        long, deep = "x" * 300, "/".join(["y" * 200] * 20)
        job = ["--task.mode=independent", "--task.sweep=run.seed: 1, 2"]
        for more in ([], job):
            for name, said in ((long, "300 bytes"), (f"new/{long}", "300 bytes"), (deep, "at most 4096")):
                for dry in ([], ["--dry-run"]):
                    self.refused(*self.words(name, *MOMENTUM, *more, *dry), said=(said, "run.name", "Hint"))
        working = self.folder / "working"  # without a folder runs/
        working.mkdir()
        for dry in ([], ["--dry-run"]):
            result = subprocess.run(program.command_line(["train", self.deck, f"--run.name={long}", *dry], 1), cwd=working, capture_output=True, text=True,
                                    env=program.environment())
            self.assertEqual(result.returncode, CHECKPOINT, result.stderr)
            self.assertEqual(list(working.iterdir()), [])
        if os.geteuid() == 0:
            return  # may write everywhere
        closed = self.folder / "closed"
        closed.mkdir(mode=0o555)
        for dry in ([], ["--dry-run"]):
            self.refused(*self.words("closed/run", *MOMENTUM, *dry), said=("Permission denied", "Hint"))

    def test_empty_folders_and_what_a_killed_start_leaves(self):
        for name, files in (("empty", ()), ("killed", ("checkpoints/", ".owner.json.0123456789abcdef.partial")), ("output", ("out.log",))):
            path = self.folder / name
            path.mkdir()
            for file in files:
                (path / file).mkdir() if file.endswith("/") else (path / file).touch()
            self.ok(*self.words(name, *MOMENTUM, "--train.steps=5"))
            self.assertEqual(list(path.glob(".owner.json.*")), [])

    def test_records_are_not_written_through_links(self):
        folder = self.begun()
        outside = self.folder / "outside"
        outside.mkdir()
        names = ("deck.ini", "trace.json", "metrics.jsonl", "log.txt", "exit_code", "owner.json")
        for name in names:
            (outside / name).write_text("precious\n")
            (folder.path / name).unlink(missing_ok=True)
            (folder.path / name).symlink_to(outside / name)
        self.ok(*self.words("run", *MOMENTUM, "--train.steps=45", "--train.trace=true"))
        for name in names:
            self.assertEqual((outside / name).read_text(), "precious\n", name)
            self.assertFalse((folder.path / name).is_symlink(), name)
        (folder.path / "log.txt").unlink()
        (folder.path / "log.txt").symlink_to(outside / "absent")
        self.ok(*self.words("run", *MOMENTUM, "--train.steps=50"))
        self.assertFalse((outside / "absent").exists())


if __name__ == "__main__":
    program.main()
