// The life of Kokkos, with as many threads as this rank may fairly use.
#pragma once

#include "comm/communicator.hpp"

namespace trireme {

class KokkosLife {
 public:
  /// Threads: OMP_NUM_THREADS or KOKKOS_NUM_THREADS where set; else the cores that this rank may run on, divided among the ranks that share
  /// them. Devices: KOKKOS_DEVICE_ID where set; else one of the node's for each of its ranks, in turn; a usage error where a build for devices finds none.
  /// Collective over `comm`.
  explicit KokkosLife(const Communicator& comm);
  ~KokkosLife();
  KokkosLife(const KokkosLife&) = delete;
  KokkosLife& operator=(const KokkosLife&) = delete;
};

}  // namespace trireme
