"""The runs of a study: which there are, which are finished, and how those that are not are run here or submitted to Slurm."""
import dataclasses
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

import measurements

ROOT = pathlib.Path(__file__).resolve().parents[3]


@dataclasses.dataclass(frozen=True)
class Run:
    ranks: int
    threads: int
    repeat: int

    @property
    def configuration(self):
        return f"r{self.ranks}-t{self.threads}"

    @property
    def name(self):
        return f"{self.configuration}-{self.repeat}"


class Study:
    def __init__(self, options):
        self.options = options
        self.folder = pathlib.Path(options.out)
        self.program = options.program

    def runs(self):
        """Repeats outermost: what drifts, drifts for all configurations alike."""
        options = self.options
        return [Run(ranks, threads, repeat) for repeat in range(options.repeats) for threads in options.threads for ranks in options.ranks]

    def batch(self, run):
        return self.options.batch * (run.ranks // self.options.ranks[0] if self.options.mode == "weak" else 1)

    def words(self, run):
        """The command of a run, without its launcher."""
        options = self.options
        return [self.program, "train", options.deck, *options.overrides, f"--data.batch={self.batch(run)}", f"--run.output={self.folder / 'runs' / run.name}",
                f"--train.steps={options.steps}", "--train.epochs=1000000", "--train.log_every=10", "--train.evaluate_every=0", "--train.trace=true",
                "--checkpoint.every=0", "--checkpoint.minutes=0", "--checkpoint.resume=never"]

    def record(self, run):
        """Where the command of a run is kept: beside its run directory, in which the program suffers only what runs write."""
        return self.folder / "runs" / f"{run.name}.command.json"

    def is_finished(self, run):
        folder, record = self.folder / "runs" / run.name, self.record(run)
        return measurements.is_finished(folder) and record.is_file() and json.loads(record.read_text()) == self.words(run)

    def missing(self):
        return [run for run in self.runs() if not self.is_finished(run)]

    def prepare(self, run):
        shutil.rmtree(self.folder / "runs" / run.name, ignore_errors=True)
        self.record(run).parent.mkdir(parents=True, exist_ok=True)
        self.record(run).write_text(json.dumps(self.words(run)))

    # Here.

    def launcher(self):
        return shlex.split(os.environ.get("TRIREME_MPIEXEC", "mpiexec -n"))

    def environment(self, threads):
        env = dict(os.environ, OMP_NUM_THREADS=str(threads))
        env.setdefault("OMP_PROC_BIND", "false")
        return env

    def run_here(self):
        missing = self.missing()
        for number, run in enumerate(missing, start=1):
            self.prepare(run)
            before = self.launcher()
            line = [*before[:2], str(run.ranks), *before[2:], *self.words(run)]
            began = time.monotonic()
            done = subprocess.run(line, env=self.environment(run.threads), stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"error: {shlex.join(line)}\nended with exit code {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
            print(f"    {number}/{len(missing)}  {run.name}  {time.monotonic() - began:.1f} s", flush=True)

    def network(self):
        """What `trireme bench network` says of two ranks here, measured once a study; None where it cannot be."""
        file = self.folder / "network.json"
        if not file.is_file() and not self.options.slurm and max(self.options.ranks) > 1:
            before = self.launcher()
            done = subprocess.run([*before[:2], "2", *before[2:], self.program, "bench", "network", "--json"], env=self.environment(1), stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True)
            if done.returncode == 0:
                file.write_text(done.stdout[done.stdout.index("{"):])
        return json.loads(file.read_text()) if file.is_file() else None

    # With Slurm: a job a configuration, with its repeats one after the other.

    def submit(self):
        jobs = self.folder / "jobs"
        jobs.mkdir(parents=True, exist_ok=True)
        waiting = self.waiting()
        by_configuration = {}
        for run in self.missing():
            by_configuration.setdefault(run.configuration, []).append(run)
        for name, runs in by_configuration.items():
            if name in waiting:
                continue
            for run in runs:
                self.prepare(run)
            network = []
            if runs[0].ranks == max(self.options.ranks) > 1:
                network = [f"launch {shlex.quote(self.program)} bench network --json > {shlex.quote(str(self.folder / 'network.json'))}"]
            script = jobs / f"{name}.sh"
            script.write_text("\n".join(["#!/usr/bin/env bash", f"# {self.options.mode} scaling: {len(runs)} run(s) of {name}, made by scripts/scaling", "set -u",
                                         f". {shlex.quote(str(ROOT / 'jobs' / 'common.sh'))}", 'if [ -n "${TRIREME_SITE:-}" ]; then . "$TRIREME_SITE"; fi',
                                         f"export OMP_NUM_THREADS={runs[0].threads}", *network,
                                         *(f"launch {shlex.join(self.words(run))} || exit" for run in runs), ""]))
            line = ["sbatch", "--parsable", f"--ntasks={runs[0].ranks}", f"--cpus-per-task={runs[0].threads}", f"--job-name=scaling-{name}",
                    f"--output={jobs / name}.log", *shlex.split(self.options.sbatch), str(script)]
            done = subprocess.run(line, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"error: {shlex.join(line)}\n{done.stderr}")
            job = done.stdout.strip().split(";")[0]
            (jobs / f"{name}.id").write_text(job)
            print(f"    {name}: job {job}, {len(runs)} run(s)", flush=True)

    def waiting(self):
        """Configurations whose job is still in the queue."""
        found = []
        for file in sorted((self.folder / "jobs").glob("*.id")):
            done = subprocess.run(["squeue", "-h", "-j", file.read_text(), "-o", "%T"], capture_output=True, text=True)
            if done.returncode == 0 and done.stdout.strip():
                found.append(file.stem)
        return found

    def wait(self):
        while self.waiting():
            time.sleep(self.options.poll)

    def repeats(self):
        """{threads: {ranks: [figures of a repeat, ...]}} of the finished runs."""
        found = {}
        for run in self.runs():
            if self.is_finished(run):
                figures = measurements.read(self.folder / "runs" / run.name, self.options.warm_up)
                found.setdefault(run.threads, {}).setdefault(run.ranks, []).append(figures)
        return found


def batch_of(deck, overrides):
    """data.batch of a deck: what the command line says, else the line of its [data] section."""
    for word in reversed(overrides):
        if word.startswith("--data.batch="):
            return int(word.split("=", 1)[1])
    section = re.search(r"^\[data\]$(.*?)(?=^\[|\Z)", pathlib.Path(deck).read_text(), re.MULTILINE | re.DOTALL)
    line = re.search(r"^\s*batch\s*=\s*(\d+)", section[1] if section else "", re.MULTILINE)
    return int(line[1]) if line else 32
