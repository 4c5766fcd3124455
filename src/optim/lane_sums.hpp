// The sums that a rank makes of its own lanes, one lane after the other: whole nodes of the tree (lane_tree.hpp), as few as there are. They lie in memory
// beside the gradient arena, the last one in the arena itself.
#pragma once

#include <cstdint>
#include <vector>

#include "kokkos_kernels/lanes.hpp"
#include "optim/lane_tree.hpp"

namespace trireme {

/// What a rank does after each of its lanes, and what it has to show at the end. Nodes under way lie in slots, like a stack.
class LaneSchedule {
 public:
  LaneSchedule(const LaneTree& tree, const LaneRange& lanes);

  struct Close {
    std::int32_t slot, merges;  // the lane's gradient joins the nodes in slots slot + merges - 1, ..., slot, and lies in `slot` then
  };
  /// One a lane.
  const std::vector<Close>& closes() const { return closes_; }
  /// Slots that are ever used, without the last lane's result, which stays in the arena.
  std::int32_t slots() const { return slots_; }
  /// What is left: of these, number n lies in slot n, the last one in the arena.
  const std::vector<LaneRange>& nodes() const { return nodes_; }

 private:
  std::vector<Close> closes_;
  std::int32_t slots_ = 0;
  std::vector<LaneRange> nodes_;
};

template <class T>
class LaneSums {
 public:
  /// `arena`, where lanes' gradients are made, outlives it.
  LaneSums(const LaneTree& tree, const LaneRange& lanes, Span<T> arena);

  const std::vector<LaneRange>& nodes() const { return schedule_.nodes(); }
  /// The gradient of this rank's next lane, not its last one, is complete: it leaves the arena, which becomes 0.
  void take(const Execution& exec);
  /// Elements [first, last) of the last lane's gradient are complete: afterwards they are of all nodes.
  void finish(const Execution& exec, std::int64_t first, std::int64_t last);
  /// The next lane is the first.
  void restart() { lane_ = 0; }
  /// Memory of node `n`, parallel to the arena.
  Span<T> node(std::size_t n) const { return n + 1 == nodes().size() ? arena_ : Span<T>(slots_[n].data(), slots_[n].size()); }

 private:
  LaneSchedule schedule_;
  Span<T> arena_;
  std::vector<Buffer<T>> slots_;
  std::size_t lane_ = 0;
};

}  // namespace trireme
