// The reduction tree of virtual ranks: one binary tree over all of them, independent of the ranks that own them. The bits of a sum therefore depend
// only on the number of virtual ranks. The left half of a node is the largest power of two below its size, so ranks that own equal shares of 2^k
// virtual ranks own whole nodes.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace trireme {

/// Virtual ranks [first, last).
struct VirtualRankRange {
  std::int64_t first, last;
  bool operator==(const VirtualRankRange&) const = default;
};

class ReductionTree {
 public:
  explicit ReductionTree(std::int64_t virtual_ranks) : virtual_ranks_(virtual_ranks) {}

  std::int64_t virtual_ranks() const { return virtual_ranks_; }
  /// The fewest nodes that cover `range`, ascending: at most 2 log2(number of virtual ranks).
  std::vector<VirtualRankRange> nodes_of(const VirtualRankRange& range) const;
  /// Whether `left` and `right` are the halves of one node.
  bool halves(const VirtualRankRange& left, const VirtualRankRange& right) const;
  /// `nodes` cover all virtual ranks, in ascending order. Returns the additions, in order, after which the first node holds the total sum. (i, j):
  /// node i += node j.
  std::vector<std::pair<std::int32_t, std::int32_t>> additions(const std::vector<VirtualRankRange>& nodes) const;

 private:
  std::int64_t virtual_ranks_;
};

}  // namespace trireme
