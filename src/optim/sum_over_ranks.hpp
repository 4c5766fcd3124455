// Sums of a few numbers that kernels make and kernels read, over the ranks of a communicator. A blocking all-reduce: for what is small and wanted now.
#pragma once

#include <memory>

#include "comm/communicator.hpp"
#include "kokkos_kernels/types.hpp"

namespace trireme {

class SumOverRanks {
 public:
  /// `comm` outlives it. At most `largest` numbers at a time.
  SumOverRanks(const Communicator& comm, std::int64_t largest);
  /// values = their sum over the ranks, the same bits on all. Waits for `exec` first. Collective.
  void operator()(const Execution& exec, Span<double> values) const;

 private:
  const Communicator* comm_;
  HostBuffer<double> staging_;  // where MPI may not touch the device's memory
};

}  // namespace trireme
