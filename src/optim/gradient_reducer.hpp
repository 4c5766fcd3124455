// Sums gradients over the ranks of the data axis while backward still runs. The gradient arena is the buckets: a bucket is a range of it,
// cut from the end (which is ready first), and its sum starts when its last gradient is final. All ranks start buckets in one order.
#pragma once

#include <cstdint>
#include <vector>

#include "comm/communicator.hpp"
#include "kokkos_kernels/types.hpp"

namespace trireme {

template <class T>
class GradientReducer {
 public:
  /// `arena`: gradients and control, see Network. `cuts`: offsets at which gradients become final (a layer's first parameter), any order.
  /// Buckets hold about `bucket_bytes` (0: a quarter of the arena, but 64 KiB to 4 MiB, so that the last layers' sums travel while the
  /// first compute) and end at such offsets. Collective over `comm`.
  GradientReducer(const Communicator& comm, Span<T> arena, std::vector<std::int64_t> cuts, std::int64_t bucket_bytes);

  /// Gradients from `offset` to the end of the arena are final once what is launched on `exec` ends: starts the sums that became possible.
  void ready(const Execution& exec, std::int64_t offset);
  /// Starts what is left and waits for all. Afterwards the arena holds the sums over all ranks.
  void finish(const Execution& exec);

  std::size_t buckets() const { return firsts_.size(); }
  /// Seconds spent waiting in finish(), in all: the part of the communication that compute did not hide.
  double exposed_seconds() const { return exposed_; }
  std::int64_t bytes() const { return static_cast<std::int64_t>(arena_.size() * sizeof(T)); }

 private:
  void start(const Execution& exec, std::size_t bucket);

  Communicator comm_;
  Span<T> arena_;
  std::vector<std::int64_t> firsts_;  // first offset of each bucket, descending; bucket b ends where bucket b - 1 begins
  std::size_t next_ = 0;              // buckets before this one are under way
  std::vector<Request> requests_;
  bool staged_;                       // MPI may not touch the arena's memory: sums run in pinned host memory
  HostBuffer<T> staging_;
  double exposed_ = 0;
};

}  // namespace trireme
