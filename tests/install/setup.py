#!/usr/bin/env python3
"""scripts/setup for a user who may not install packages: it names what a build lacks and the way without root, and stops only where a build would."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import program  # noqa: E402

FAKES = {
    "id": 'echo 1000',
    "sudo": 'exit 1',  # it would ask for a password
    "apt-get": 'echo "$@" >> "$FAKE/called"',
    # Installed is what the variable names; "all" but what is behind it with a minus.
    "dpkg-query": 'for name; do :; done; case " $INSTALLED " in *" -$name "*) exit 1 ;; *" all "*|*" $name "*) echo "install ok installed" ;; *) exit 1 ;; esac',
}


class Setup(unittest.TestCase):
    def start(self, installed, *words):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            for name, text in FAKES.items():
                (path / name).write_text(f"#!/bin/sh\n{text}\n")
                (path / name).chmod(0o755)
            env = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}", "FAKE": folder, "INSTALLED": installed, "TRIREME_CACHE": str(path / "cache"),
                   "Kokkos_ROOT": "/somewhere"}
            done = subprocess.run([program.ROOT / "scripts" / "setup", *words], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
            self.assertFalse((path / "called").exists(), "apt-get was called")
            return done.returncode, done.stdout + done.stderr

    def test_packages_of_a_build_are_listed_and_nothing_else(self):
        code, text = self.start("g++ cmake git")
        self.assertEqual(code, 1, text)
        line = next(line for line in text.splitlines() if "libhdf5-mpich-dev" in line)
        names = line.split()
        for name in ("ninja-build", "mpich", "libfmt-dev", "zlib1g-dev"):
            self.assertIn(name, names)
        for name in ("g++", "cmake", "git", "ccache", "python3-matplotlib"):
            self.assertNotIn(name, names)
        self.assertIn("On a cluster", text)
        self.assertIn("Hint", text)
        self.assertIn("## On a cluster", (program.ROOT / "README.md").read_text())

    def test_what_a_build_does_not_need_is_said_and_does_not_stop(self):
        code, text = self.start("all -ccache -python3-matplotlib")
        self.assertEqual(code, 0, text)
        self.assertIn("ccache python3-matplotlib", text)
        self.assertIn("A build does not need them", text)

    def test_everything_is_there(self):
        code, text = self.start("all")
        self.assertEqual(code, 0, text)
        self.assertIn("packages are installed", text)


if __name__ == "__main__":
    unittest.main()
