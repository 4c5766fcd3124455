#include "commands/kokkos_runtime.hpp"

#include <Kokkos_Core.hpp>
#include <cstdlib>
#include <vector>

#include "comm/cpu_placement.hpp"
#include "kokkos_kernels/devices.hpp"

namespace trireme {

namespace {

/// The cores on which the threads of a parallel region may run, whether or not OpenMP has bound them.
CpuMask mask_of_threads(int threads) {
  std::vector<CpuMask> masks(static_cast<std::size_t>(threads));
  Kokkos::parallel_for("trireme::kokkos_runtime::masks", Kokkos::RangePolicy<Kokkos::DefaultHostExecutionSpace>(0, threads),
                       [&](int thread) { masks[static_cast<std::size_t>(thread)] = cpu_mask(); });
  CpuMask all;
  for (const CpuMask& mask : masks) all |= mask;
  return all;
}

}  // namespace

KokkosRuntime::KokkosRuntime(const Communicator& comm) {
  CpuPlacement cpus(comm);
  Kokkos::InitializationSettings settings;
  settings.set_disable_warnings(true);
  if (const int devices = device_count(); devices > 0 && std::getenv("KOKKOS_DEVICE_ID") == nullptr) settings.set_device_id(cpus.place() % devices);
  if (std::getenv("OMP_NUM_THREADS") == nullptr && std::getenv("KOKKOS_NUM_THREADS") == nullptr) settings.set_num_threads(cpus.fair_threads());
  Kokkos::initialize(settings);
  const int threads = Kokkos::DefaultHostExecutionSpace().concurrency();
  cpus.settle(mask_of_threads(threads), threads);
  settle_team_memory();
}

KokkosRuntime::~KokkosRuntime() { Kokkos::finalize(); }

}  // namespace trireme
