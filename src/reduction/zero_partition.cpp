#include "reduction/zero_partition.hpp"

namespace trireme {

ZeroPartition::ZeroPartition(std::int64_t size) : whole_(true), size_(size), arena_size_(size) {
  if (size > 0) owned_.push_back({0, size, 0});
}

ZeroPartition::ZeroPartition(const std::vector<std::int64_t>& bounds, int ranks, int rank) : whole_(ranks == 1), arena_size_(bounds.back()) {
  for (std::size_t bucket = 0; bucket + 1 < bounds.size(); ++bucket) {
    const std::int64_t m = bounds[bucket + 1] - bounds[bucket];
    const std::int64_t first = bounds[bucket] + begin(m, ranks, rank), last = bounds[bucket] + begin(m, ranks, rank + 1);
    if (first == last) continue;
    if (!owned_.empty() && owned_.back().last == first)
      owned_.back().last = last;
    else
      owned_.push_back({first, last, size_});
    size_ += last - first;
  }
}

}  // namespace trireme
