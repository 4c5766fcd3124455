// Sums of lanes: whole arenas added in the order of a tree (optim/lane_tree.hpp).
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// node = lane, or node += lane with `add`; lane = 0.
template <class T>
void take_lane(const Execution& exec, std::int64_t count, bool add, Span<T> lane, Span<T> node);

/// One addition of a sum: node `to` += node `from`.
struct NodeAddition {
  std::int32_t to, from;
};
template <class T>
struct NodeMemory {
  T* values;
};
/// Carries out the additions in their order on the first `count` numbers of each node, which become scratch; result = node 0. It may be one of them.
template <class T>
void add_nodes(const Execution& exec, std::int64_t count, Span<const NodeMemory<T>> nodes, Span<const NodeAddition> additions, Span<T> result);

}  // namespace trireme
