// Initializes and finalizes Kokkos, with a fair number of threads per rank.
#pragma once

#include "comm/communicator.hpp"

namespace trireme {

class KokkosRuntime {
 public:
  /// Threads: OMP_NUM_THREADS or KOKKOS_NUM_THREADS if set; otherwise the cores available to this rank, divided by the number of ranks that share them.
  /// Devices: KOKKOS_DEVICE_ID if set; otherwise the ranks of a node use its devices in turn. Throws a usage error if a device build finds no device.
  /// Collective over `comm`.
  explicit KokkosRuntime(const Communicator& comm);
  ~KokkosRuntime();
  KokkosRuntime(const KokkosRuntime&) = delete;
  KokkosRuntime& operator=(const KokkosRuntime&) = delete;
};

}  // namespace trireme
