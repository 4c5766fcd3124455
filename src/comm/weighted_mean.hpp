// Weighted mean of arrays over several ranks, with the same bits on all ranks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/communicator.hpp"

namespace trireme {

template <class T>
class WeightedMean {
 public:
  /// Collective over `comm`. Arrays are processed in pieces of at most `piece` elements; the memory is two pieces.
  explicit WeightedMean(const Communicator& comm, std::int64_t piece = std::int64_t{1} << 22);

  /// values = sum over the ranks k of weights[k] values_k. Each element is summed on one rank, in double, in rank order, and sent to all ranks: the
  /// result depends neither on the reduction algorithm of the MPI library nor on the number of elements. `weights`: one per rank, the same on all
  /// ranks. `values` is in host memory. Collective.
  void operator()(std::span<T> values, std::span<const double> weights);

 private:
  Communicator comm_;
  std::int64_t piece_;
  std::vector<T> gathered_, mean_;
  std::vector<int> counts_, starts_, mine_counts_, mine_starts_;
};

}  // namespace trireme
