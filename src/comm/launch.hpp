// Checks whether the launcher and the MPI library agree on the job.
#pragma once

#include <string>

namespace trireme {

/// The launcher that started this process, from its environment variables: srun of Slurm (SLURM_STEP_NUM_TASKS), Hydra and other PMI launchers
/// (PMI_SIZE), Open MPI (OMPI_COMM_WORLD_SIZE).
struct Launch {
  std::string by{};  // "srun"; empty: no launcher found
  int tasks = 0;     // number of tasks started together
  int number = 0;    // number of this task, from 0
};

/// The launcher that started several tasks although MPI reports this process as the only one of `ranks`: each task would train separately, in the
/// same run directory. `by` is empty if there is no such launcher. If any launcher agrees with MPI, for example mpiexec inside a Slurm step, the
/// launch is correct. Not collective.
Launch launched_apart(int ranks);

/// Error message for this case: what was started, what MPI reports, and how to start the job.
std::string advice(const Launch& launch);

}  // namespace trireme
