#!/usr/bin/env python3
"""Differential fuzzing: damaged and drawn inputs of each kind go to the driver, and what it makes of them is judged.

    TRIREME_FUZZ_DRIVER=build/sanitize/tests/fuzz/trireme_fuzz_driver tests/fuzz/fuzz.py [KIND...]

An input is either refused with the documented exit code and words of the program, or accepted; then the values are those that h5py, gzip or numpy read, and
those that were written where the file has checksums. A crash, a sanitizer's report, 20 s for one input: a finding. Inputs of findings are kept.

TRIREME_FUZZ_SECONDS: for all kinds together (default 120). TRIREME_FUZZ_COUNT: inputs of each kind instead. TRIREME_FUZZ_SEED: of all draws (default: 14;
"random": drawn and printed). TRIREME_FUZZ_KEEP: the folder for inputs of findings (default: fuzz-findings).
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import with_h5py  # noqa: F401  (first)

import os
import random
import secrets
import subprocess
import tempfile
import time

import h5py
import numpy

import sources

DRIVER = os.environ.get("TRIREME_FUZZ_DRIVER", "build/sanitize/tests/fuzz/trireme_fuzz_driver")
KEEP = pathlib.Path(os.environ.get("TRIREME_FUZZ_KEEP", "fuzz-findings"))


class Driver:
    """The process that reads inputs. After its end a new one is started."""

    def __init__(self):
        self.process = None

    def ask(self, kind, path):
        """(answer, None), or (None, what went wrong)."""
        if self.process is None:
            environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=2048",
                               UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")
            self.errors = tempfile.TemporaryFile()
            self.process = subprocess.Popen([DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env=environment)
        self.process.stdin.write(f"{kind}\t{path}\n".encode())
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if line:
            return line.decode(errors="replace").rstrip("\n"), None
        code = self.process.wait()
        self.errors.seek(0)
        said = self.errors.read()[-6000:].decode(errors="replace")
        self.process = None
        return None, f"the driver ended with {code}:\n{said}"


def judge(answer, expected, codes):
    """What is wrong with an answer, or nothing. `expected`: a set of right answers; None: whatever is accepted is right."""
    if answer.startswith("error "):
        code, words = answer.split(" ", 2)[1:]
        if int(code) not in codes:
            return f"exit code {code} is none of {codes}"
        if "std::" in words or "basic_string" in words or "vector" in words:
            return "the message is the library's"
        return None
    if expected is not None and answer[3:] not in expected:
        return f"read other values than the reference, which has {sorted(expected) or 'none'}"
    return None


def run(kind, source, driver, folder, seed, until, count):
    draws = random.Random(f"{seed} {kind}")
    inputs = accepted = compared = findings = 0
    while inputs < count and time.monotonic() < until:
        made = source.draw(draws, folder)
        answer, ended = driver.ask(source.kind, made.path)
        inputs += 1
        expected = made.expected()
        wrong = ended or judge(answer, expected, source.codes)
        if answer is not None and answer.startswith("ok "):
            accepted += 1
            compared += expected is not None
        if wrong:
            findings += 1
            kept = KEEP / f"{kind}-{seed}-{inputs}"
            sources.keep(made.path, kept)
            print(f"FINDING {kind} input {inputs}, kept as {kept}: {made.what}\n  {wrong}\n  answer: {answer}", flush=True)
            if findings >= 10:
                break
    print(f"{kind}: {inputs} inputs, {accepted} accepted ({compared} compared with a reference), {inputs - accepted} refused, {findings} findings", flush=True)
    return findings


def main():
    if not pathlib.Path(DRIVER).exists():
        print(f"skipped: no driver at {DRIVER}")
        return 77
    asked = os.environ.get("TRIREME_FUZZ_SEED") or "14"
    seed = secrets.randbelow(2**32) if asked == "random" else int(asked)
    count = int(os.environ.get("TRIREME_FUZZ_COUNT", 0))
    seconds = float(os.environ.get("TRIREME_FUZZ_SECONDS", 120))
    print(f"seed {seed}: h5py {h5py.__version__}, numpy {numpy.__version__}", flush=True)
    driver, findings = Driver(), 0
    with tempfile.TemporaryDirectory() as scratch:
        made = sources.all_sources(lambda kind, path: driver.ask(kind, path), pathlib.Path(scratch))
        wanted = sys.argv[1:] or list(made)
        for name in wanted:
            folder = pathlib.Path(scratch) / name
            folder.mkdir()
            until = time.monotonic() + (1e9 if count else seconds / len(wanted))
            findings += run(name, made[name], driver, folder, seed, until, count or 10**9)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
