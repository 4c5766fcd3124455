#include "commands/kokkos_life.hpp"

#include <sched.h>

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstdlib>
#include <thread>

#include "kokkos_kernels/devices.hpp"

namespace trireme {

namespace {

int allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(CPU_COUNT(&set), 1) : 1;
}

}  // namespace

KokkosLife::KokkosLife(const Communicator& comm) {
  MPI_Comm node = MPI_COMM_NULL;
  int neighbours = 1, place = 0;
  TRIREME_MPI(MPI_Comm_split_type(comm.handle(), MPI_COMM_TYPE_SHARED, comm.rank(), MPI_INFO_NULL, &node));
  TRIREME_MPI(MPI_Comm_size(node, &neighbours));
  TRIREME_MPI(MPI_Comm_rank(node, &place));
  TRIREME_MPI(MPI_Comm_free(&node));
  Kokkos::InitializationSettings settings;
  settings.set_disable_warnings(true);
  if (const int devices = device_count(); devices > 0 && std::getenv("KOKKOS_DEVICE_ID") == nullptr) settings.set_device_id(place % devices);
  if (std::getenv("OMP_NUM_THREADS") == nullptr && std::getenv("KOKKOS_NUM_THREADS") == nullptr) {
    // A launcher that binds gives each rank its own cores; one that does not gives all of them to all.
    const int cores = allowed_cores();
    const bool shared = cores >= static_cast<int>(std::thread::hardware_concurrency());
    settings.set_num_threads(std::max(1, shared ? cores / neighbours : cores));
  }
  Kokkos::initialize(settings);
  settle_team_memory();
}

KokkosLife::~KokkosLife() { Kokkos::finalize(); }

}  // namespace trireme
