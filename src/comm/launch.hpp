// Whether the launcher and the MPI library meant the same job.
#pragma once

#include <string>

namespace trireme {

/// What the launcher that started this process says, from its variables: Slurm's srun (SLURM_STEP_NUM_TASKS), Hydra and others that speak PMI (PMI_SIZE),
/// Open MPI (OMPI_COMM_WORLD_SIZE).
struct Launch {
  std::string by{};  // "srun"; empty: nobody told a number
  int tasks = 0;     // that were started together
  int number = 0;    // of this one among them, from 0
};

/// The launcher that started several tasks although MPI says that this process is alone among `ranks`: each would train for itself, into one run directory.
/// `by` is empty where all is well. A launcher that agrees with MPI, as an mpiexec inside of a Slurm step, settles it. Not collective.
Launch launched_apart(int ranks);

/// What to say then: what was started, what MPI found, and how to start it.
std::string advice(const Launch& launch);

}  // namespace trireme
