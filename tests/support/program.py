"""Runs the program for the end-to-end tests, and reads what it leaves behind. Python's standard library only.

CTest tells where things are through the environment (cmake/TriremeProgramTests.cmake): TRIREME_PROGRAM, TRIREME_MPIEXEC (the launcher
and its flags), TRIREME_YIELD (a library to preload so that ranks that wait give their core away, or nothing). By hand:

    tests/restart/kill.py [--program build/release/trireme] [unittest's arguments]
"""

import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77  # CTest's SKIP_RETURN_CODE
REQUEUE = 75


def program():
    return os.environ.get("TRIREME_PROGRAM", str(ROOT / "build" / "release" / "trireme"))


def shared_data():
    """The folder with published data sets, where there is one."""
    for folder in (os.environ.get("TRIREME_SHARED_DATA"), ROOT.parent / "shared" / "data"):
        if folder and pathlib.Path(folder).is_dir():
            return pathlib.Path(folder)
    return None


def launcher():
    """mpiexec, its option for the number of ranks, and other flags."""
    return shlex.split(os.environ.get("TRIREME_MPIEXEC", "mpiexec -n"))


def command_line(words, ranks):
    words_before = launcher()
    start = words_before[:2] + [str(ranks)] + words_before[2:] if ranks > 1 else []
    return start + [program()] + [str(word) for word in words]


def environment(faults=None, **more):
    """`faults`: rules of tests/support/faults_preload.c."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_PROC_BIND": "false", **more}
    preloads = [env["TRIREME_YIELD"]] if env.get("TRIREME_YIELD") else []
    if faults:
        preloads.append(os.environ.get("TRIREME_FAULTS_LIBRARY", str(ROOT / "build" / "release" / "tests" / "libtrireme_faults.so")))
        env["TRIREME_FAULTS"] = faults
    if preloads:
        env["LD_PRELOAD"] = ":".join(preloads)
    return env


def processes_below(pid):
    """The process, its children, theirs and so on, as pid -> path of the program (empty when it is gone already)."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    parents[int(entry)] = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
    family, found = [pid], {}
    while family:
        at = family.pop()
        try:
            found[at] = os.readlink(f"/proc/{at}/exe")
        except OSError:
            found[at] = ""
        family += [child for child, parent in parents.items() if parent == at]
    return found


class Result:
    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    @property
    def text(self):
        return self.out + self.err

    def errors(self):
        """The program's own error messages."""
        return [line for line in self.text.splitlines() if line.startswith("trireme: ")]

    def json(self):
        return json.loads(self.out[self.out.index("{"):])


class Job:
    """A run of the program that goes on while the test looks at it."""

    def __init__(self, words, ranks=1, line=None, **env):
        """`line`: a whole command line of the launcher's, instead; `env`: of environment()."""
        self.began_ = time.monotonic()
        self.line_ = line or command_line(words, ranks)
        # Files instead of pipes: a full pipe would hold the job up, and a killed one leaves what it said.
        self.out_, self.err_ = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.process_ = subprocess.Popen(self.line_, stdin=subprocess.DEVNULL, stdout=self.out_, stderr=self.err_,
                                         env=environment(**env), start_new_session=True)

    def running(self):
        return self.process_.poll() is None

    def ranks(self):
        """Process ids of the ranks, which are descendants of mpiexec, not children."""
        if not self.running():
            return []
        exe = os.path.realpath(program())
        return sorted(pid for pid, path in processes_below(self.process_.pid).items() if path == exe)

    def signal_ranks(self, number, which=None):
        """To all ranks, or only to the one at place `which`."""
        pids = self.ranks()
        for pid in pids if which is None else pids[which:which + 1]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        """As a node dies: every process of the job at once, without a word."""
        if self.running():
            for pid in processes_below(self.process_.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.process_.wait()

    def wait(self, timeout=60):
        try:
            code = self.process_.wait(timeout)
        except subprocess.TimeoutExpired:
            stacks = self.stacks_()
            self.kill()
            raise AssertionError(f"still running after {timeout} s: {shlex.join(self.line_)}\n{self.said()}\n{stacks}") from None
        return Result(code, *self.texts_(), time.monotonic() - self.began_)

    def stacks_(self):
        """Where the ranks hang, if a debugger is there to tell."""
        if not shutil.which("gdb"):
            return ""
        words = ["gdb", "-batch", "-ex", "thread apply all backtrace"]
        return "\n".join(subprocess.run([*words, "-p", str(pid)], capture_output=True, text=True).stdout[-8000:] for pid in self.ranks())

    def said(self):
        return "".join(self.texts_())

    def texts_(self):
        texts = []
        for file in (self.out_, self.err_):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        return texts

    def close(self):
        self.kill()
        self.out_.close()
        self.err_.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run(*words, ranks=1, timeout=60, **env):
    with Job(words, ranks, **env) as job:
        return job.wait(timeout)


class RunFolder:
    """What a run directory holds."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def events(self, kind=None):
        """Whole lines of metrics.jsonl; the run may be writing the last one."""
        try:
            text = (self.path / "metrics.jsonl").read_text()
        except FileNotFoundError:
            return []
        events = [json.loads(line) for line in text.split("\n")[:-1]]
        return [event for event in events if kind in (None, event["event"])]

    def losses(self):
        return {event["step"]: event["loss"] for event in self.events("step")}

    def digest(self):
        return self.events("end")[-1]["parameters_sha256"]

    def checkpoints(self):
        """Oldest first."""
        return sorted((self.path / "checkpoints").glob("step-*.h5"))


class ProgramTest(unittest.TestCase):
    """Each class of tests has a folder of its own; each test knows a fresh one in it."""

    @classmethod
    def setUpClass(cls):
        cls.common = pathlib.Path(tempfile.mkdtemp(prefix="trireme-test-"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.common, ignore_errors=True)

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.common))

    def ok(self, *words, ranks=1, timeout=60, **env):
        result = run(*words, ranks=ranks, timeout=timeout, **env)
        self.assertEqual(result.code, 0, f"{' '.join(str(w) for w in words)} on {ranks} rank(s):\n{result.text}")
        return result

    @classmethod
    def make_digits(cls, name="digits", train=600, test=150, shards=3, seed=1):
        """A small data set, made once a class; returns its folder."""
        folder = cls.common / name
        if not folder.exists():
            result = run("shard", "digits", "--train", train, "--test", test, "--shards", shards, "--seed", seed, "--out", folder)
            assert result.code == 0, result.text
        return folder

    def write_deck(self, text, name="deck.ini"):
        file = self.folder / name
        file.write_text(text)
        return file

    def wait_until(self, what, true, job=None, timeout=60):
        """Looks often; a job that ends before it becomes true is a failure."""
        end = time.monotonic() + timeout
        while not true():
            if job is not None and not job.running() and not true():
                self.fail(f"the job ended before {what}:\n{job.said()}")
            if time.monotonic() > end:
                if job is not None:
                    job.kill()
                self.fail(f"waited {timeout} s for {what}" + (f":\n{job.said()}" if job else ""))
            time.sleep(0.001)


def main():
    """unittest.main, with one plain line for each skipped test, and CTest's code when all were."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--program"]:
        os.environ["TRIREME_PROGRAM"] = os.path.abspath(arguments[1])
        arguments = arguments[2:]
    if not os.access(program(), os.X_OK):
        sys.exit(f"there is no program '{program()}'. Hint: scripts/build, or --program FILE")
    done = unittest.main(module="__main__", argv=sys.argv[:1] + arguments, exit=False, verbosity=2).result
    for _, why in done.skipped:
        print(f"skipped: {why}")
    if not done.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIPPED if done.testsRun > 0 and len(done.skipped) == done.testsRun else 0)
