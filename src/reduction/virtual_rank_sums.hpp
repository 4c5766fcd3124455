// Sums over the virtual ranks of one rank, which are computed one after the other: as few whole nodes of the tree (reduction_tree.hpp) as possible. The
// nodes are stored next to the gradient arena, the last one in the arena itself.
#pragma once

#include <cstdint>
#include <vector>

#include "kokkos_kernels/virtual_ranks.hpp"
#include "reduction/reduction_tree.hpp"

namespace trireme {

/// The additions of a rank after each of its virtual ranks, and the nodes that remain at the end. Unfinished nodes are kept in slots, like a stack.
class VirtualRankSchedule {
 public:
  VirtualRankSchedule(const ReductionTree& tree, const VirtualRankRange& virtual_ranks);

  struct Close {
    std::int32_t slot, merges;  // add the gradient of the virtual rank to the nodes in slots slot + merges - 1, ..., slot, and store the sum in `slot`
  };
  /// One entry per virtual rank.
  const std::vector<Close>& closes() const { return closes_; }
  /// Number of slots used, without the result of the last virtual rank, which stays in the arena.
  std::int32_t slots() const { return slots_; }
  /// The remaining nodes: node n is in slot n, the last one in the arena.
  const std::vector<VirtualRankRange>& nodes() const { return nodes_; }

 private:
  std::vector<Close> closes_;
  std::int32_t slots_ = 0;
  std::vector<VirtualRankRange> nodes_;
};

template <class T>
class VirtualRankSums {
 public:
  /// `arena` receives the gradients of the virtual ranks and must outlive the object.
  VirtualRankSums(const ReductionTree& tree, const VirtualRankRange& virtual_ranks, Span<T> arena);

  const std::vector<VirtualRankRange>& nodes() const { return schedule_.nodes(); }
  /// The gradient of this rank's next virtual rank, not the last one, is complete: moves it out of the arena and sets the arena to 0.
  void take(const Execution& exec);
  /// Elements [first, last) of the last virtual rank's gradient are complete: completes all nodes in this range.
  void finish(const Execution& exec, std::int64_t first, std::int64_t last);
  /// Starts again with the first virtual rank.
  void restart() { lane_ = 0; }
  /// Memory of node `n`, parallel to the arena.
  Span<T> node(std::size_t n) const { return n + 1 == nodes().size() ? arena_ : Span<T>(slots_[n].data(), slots_[n].size()); }

 private:
  VirtualRankSchedule schedule_;
  Span<T> arena_;
  std::vector<Buffer<T>> slots_;
  std::size_t lane_ = 0;
};

}  // namespace trireme
