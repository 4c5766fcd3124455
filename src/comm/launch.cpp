#include "comm/launch.hpp"

#include <fmt/format.h>

#include <cstdlib>

namespace trireme {

namespace {

int number_in(const char* variable) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::atoi(text) : 0;
}

}  // namespace

Launch launched_apart(int ranks) {
  struct Speaker {
    const char *by, *tasks, *number;
  };
  constexpr Speaker speakers[] = {{"a PMI launcher", "PMI_SIZE", "PMI_RANK"},
                                  {"Open MPI's mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
                                  {"srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}};
  Launch found;
  for (const Speaker& speaker : speakers) {
    const int tasks = number_in(speaker.tasks);
    if (tasks == ranks) return {};
    if (tasks > 1 && ranks == 1) found = {speaker.by, tasks, number_in(speaker.number)};
  }
  return found;
}

std::string advice(const Launch& launch) {
  return fmt::format(
      "{} started {} tasks, but MPI reports each of them as a job of one rank: all would train separately, in the same run directory. The "
      "launcher and the MPI library of this program use different PMI versions. Hint: use srun --mpi=pmi2 for MPICH, srun --mpi=pmix for Open "
      "MPI (srun --mpi=list lists the choices), or the mpiexec of this MPI library",
      launch.by, launch.tasks);
}

}  // namespace trireme
