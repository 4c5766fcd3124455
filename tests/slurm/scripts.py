#!/usr/bin/env python3
"""The scripts of jobs/ with a queue of scripts in Slurm's place: what they do about paths, comments, arrays and exit codes. Needs no Slurm."""

import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import program  # noqa: E402

# srun runs nothing: it notes its words, with bars between them, and exits with the next code of the list.
SRUN = '''#!/bin/sh
(IFS='|'; echo "$*") >> "$FAKE/srun"
code=$(head -1 "$FAKE/codes"); sed -i 1d "$FAKE/codes"
exit "$code"
'''
SCONTROL = '''#!/bin/sh
if [ "$1" = requeue ]; then echo "$2" >> "$FAKE/requeued"; exit 0; fi
printf 'JobId=7 JobName=x\\n   Comment=about Command=/nowhere/evil.sh \\n   Command=%s my deck.ini\\n   WorkDir=/tmp\\n' "$FAKE_SCRIPT"
'''
SQUEUE = '''#!/bin/sh
case "$*" in *%T*) echo RUNNING ;; *) echo N/A ;; esac
'''


class Scripts(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.jobs = self.folder / "a path with spaces" / "jobs"
        shutil.copytree(program.ROOT / "jobs", self.jobs)
        (self.folder / "bin").mkdir()
        for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("squeue", SQUEUE)):
            (self.folder / "bin" / name).write_text(text)
            (self.folder / "bin" / name).chmod(0o755)

    def start(self, codes, script="train.sbatch", **more):
        (self.folder / "codes").write_text("\n".join(map(str, codes)) + "\n")
        env = {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "FAKE": str(self.folder), "FAKE_SCRIPT": str(self.jobs / script), "SLURM_JOB_ID": "7",
               "SLURM_JOB_NAME": "x", "HOME": str(self.folder), **more}
        # Slurm runs a copy of the script, from its spool.
        shutil.copy(self.jobs / script, self.folder / "slurm_script")
        return subprocess.run(["bash", self.folder / "slurm_script", "my deck.ini"], env=env, cwd=self.folder, capture_output=True, text=True, timeout=30)

    def read(self, name):
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []

    def test_path_with_spaces_and_a_comment_that_says_command(self):
        for script in ("train.sbatch", "ensemble.sbatch"):
            done = self.start([0], script)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("|train|my deck.ini|", self.read("srun")[-1])

    def test_program_site_and_run_directory_with_spaces(self):
        site = self.folder / "a path with spaces" / "site.sh"
        site.write_text("export OMP_PLACES=threads\n")
        run = self.folder / "runs of mine" / "run 1"
        run.mkdir(parents=True)
        (run / "exit_code").write_text("4\n")  # of an earlier start: removed before this one
        done = self.start([5], TRIREME="a path with spaces/trireme", TRIREME_SITE=str(site), RUN=str(run))
        self.assertEqual(done.returncode, 5, done.stdout + done.stderr)
        self.assertIn(f"|a path with spaces/trireme|train|my deck.ini|--run.output={run}|", self.read("srun")[-1])
        self.start([0], SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID="3", RUN=str(run))
        self.assertIn(f"|--run.output={run}/000003|", self.read("srun")[-1])

    def test_elements_of_an_array_have_their_own_run_directory(self):
        self.start([0])
        self.start([0], SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID="3")
        self.assertIn("|--run.output=runs/x|", self.read("srun")[0])
        self.assertIn("|--run.output=runs/x/000003|", self.read("srun")[1])

    def test_code_7_is_requeued_some_times(self):
        codes = [self.start([7]).returncode for _ in range(4)]
        self.assertEqual(codes, [0, 0, 0, 7])
        self.assertEqual(self.read("requeued"), ["7"] * 3)
        self.assertEqual([path.name for path in self.folder.glob(".trireme-hangs*")], [])
        # A start that gets on begins the count anew.
        for code in (7, 7, 75, 7, 7, 7):
            self.assertEqual(self.start([code]).returncode, 0)
        self.assertEqual(self.start([7], TRIREME_HANG_REQUEUES="0").returncode, 7)

    def test_codes_that_do_not_come_back(self):
        for code in (0, 2, 3, 4, 5, 76, 143):
            self.assertEqual(self.start([code]).returncode, code)
        self.assertEqual(self.read("requeued"), [])


if __name__ == "__main__":
    program.main()
