// The order in which the gradients of lanes are summed: one binary tree over the lanes, the same whoever owns which of them, so that a sum's bits depend on
// the number of lanes alone. The left half of a node is the largest power of two below its size: ranks that own equal shares of 2^k lanes own whole nodes.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace trireme {

/// Lanes [first, last).
struct LaneRange {
  std::int64_t first, last;
  bool operator==(const LaneRange&) const = default;
};

class LaneTree {
 public:
  explicit LaneTree(std::int64_t lanes) : lanes_(lanes) {}

  std::int64_t lanes() const { return lanes_; }
  /// The fewest nodes that make up `range`, ascending: at most 2 log2(lanes).
  std::vector<LaneRange> nodes_of(const LaneRange& range) const;
  /// Whether `left` and `right` are the halves of one node.
  bool halves(const LaneRange& left, const LaneRange& right) const;
  /// With nodes that make up all lanes, ascending: additions, in their order, after which the first one holds the whole sum. (i, j): node i += node j.
  std::vector<std::pair<std::int32_t, std::int32_t>> additions(const std::vector<LaneRange>& nodes) const;

 private:
  std::int64_t lanes_;
};

}  // namespace trireme
