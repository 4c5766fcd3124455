// The weighted mean of what several ranks hold, the same bits on all of them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/communicator.hpp"

namespace trireme {

template <class T>
class WeightedMean {
 public:
  /// Collective over `comm`. Arrays are taken in pieces of at most `piece` elements, which bounds the memory: two pieces.
  explicit WeightedMean(const Communicator& comm, std::int64_t piece = std::int64_t{1} << 22);

  /// values = sum over the ranks k of weights[k] values_k. Each element is summed by one rank, in double, in the order of the ranks, and given to all:
  /// the result depends neither on the library's way of summing nor on the number of elements. `weights`: one a rank, the same everywhere.
  /// Host memory. Collective.
  void operator()(std::span<T> values, std::span<const double> weights);

 private:
  Communicator comm_;
  std::int64_t piece_;
  std::vector<T> gathered_, mean_;
  std::vector<int> counts_, starts_, mine_counts_, mine_starts_;
};

}  // namespace trireme
