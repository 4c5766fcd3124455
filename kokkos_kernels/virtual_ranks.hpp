// Sums of virtual ranks: whole arenas added in the order of a tree (optim/reduction_tree.hpp).
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// node = virtual rank, or node += virtual rank with `add`; then virtual rank = 0.
template <class T>
void take_virtual_rank(const Execution& exec, std::int64_t count, bool add, Span<T> virtual_rank, Span<T> node);

/// One addition: node `to` += node `from`.
struct NodeAddition {
  std::int32_t to, from;
};
template <class T>
struct NodeMemory {
  T* values;
};
/// Executes the additions in order on the first `count` numbers of each node; result = node 0. All nodes become scratch. `result` may be one of the
/// nodes.
template <class T>
void add_nodes(const Execution& exec, std::int64_t count, Span<const NodeMemory<T>> nodes, Span<const NodeAddition> additions, Span<T> result);

}  // namespace trireme
