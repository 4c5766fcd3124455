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
  constexpr Speaker speakers[] = {{"a launcher that speaks PMI", "PMI_SIZE", "PMI_RANK"},
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
  return fmt::format("{} started {} tasks, but each is alone for MPI: they would all train by themselves, into one run directory. The launcher and the MPI library "
                     "of this program do not speak the same PMI. Hint: srun --mpi=pmi2 for MPICH, --mpi=pmix for Open MPI (srun --mpi=list shows what there is), "
                     "or the mpiexec of that library", launch.by, launch.tasks);
}

}  // namespace trireme
