#!/usr/bin/env python3
"""Tasks of one launcher that MPI does not know of each other: one of them says so, none works."""

import os
import pathlib
import sys
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import program  # noqa: E402

SRUN = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "0"}


class Launch(program.ProgramTest):
    def with_environment(self, environment, *words, ranks=1):
        with mock.patch.dict(os.environ, environment):
            return program.run(*words, ranks=ranks)

    def test_one_speaks_and_none_works(self):
        for by, tasks, number in (("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"), ("mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK")):
            for rank in range(3):
                out = self.folder / f"{by}-{rank}"
                result = self.with_environment({tasks: "3", number: str(rank)}, "shard", "digits", "--train", 10, "--test", 10, "--out", out)
                self.assertEqual(result.code, 2, result.text)
                self.assertFalse(out.exists())
                self.assertEqual(len(result.errors()), 1 if rank == 0 else 0, result.text)
                if rank == 0:
                    for words in (by, "3 tasks", "as a job of one rank", "Hint", "--mpi=pmi2"):
                        self.assertIn(words, result.errors()[0])

    def test_what_is_right_is_left_alone(self):
        # A step of one task; a script of a job of many tasks, which srun did not start; an mpiexec inside of a step of several.
        for environment in ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, {}):
            self.assertEqual(self.with_environment(environment, "inspect", self.make_digits() / "train").code, 0, environment)
        out = self.folder / "two"
        result = self.with_environment(SRUN, "shard", "digits", "--train", 10, "--test", 10, "--shards", 1, "--out", out, ranks=2)
        self.assertEqual(result.code, 0, result.text)

    def test_help_needs_no_launcher(self):
        self.assertEqual(self.with_environment({}, "help").code, 0)


if __name__ == "__main__":
    program.main()
