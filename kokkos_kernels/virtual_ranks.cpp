// A tree's additions, element by element in the order of the list: nodes(to) += nodes(from). On the host a thread takes a piece of the arena through the whole
// list, on a device an element.
//
//   v0   v1   v2   v3
//    \  /      \  /
//    v0 += v1   v2 += v3
//       \       /
//       v0 += v2  -> result
#include "kokkos_kernels/virtual_ranks.hpp"

namespace trireme {

template <class T>
void take_virtual_rank(const Execution& exec, std::int64_t count, bool add, Span<T> virtual_rank, Span<T> node) {
  if (add)
    Kokkos::parallel_for(
        "trireme::virtual_ranks::add", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) {
          node(i) += virtual_rank(i);
          virtual_rank(i) = T{};
        });
  else
    Kokkos::parallel_for(
        "trireme::virtual_ranks::move", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) {
          node(i) = virtual_rank(i);
          virtual_rank(i) = T{};
        });
}

template <class T>
void add_nodes(const Execution& exec, std::int64_t count, Span<const NodeMemory<T>> nodes, Span<const NodeAddition> additions, Span<T> result) {
  // On the host a piece stays in the first cache through all additions.
  constexpr std::int64_t piece = on_host ? 512 : 1;
  const auto n = static_cast<std::int64_t>(additions.size());
  Kokkos::parallel_for(
      "trireme::virtual_ranks::add_nodes", Range(exec, 0, (count + piece - 1) / piece), KOKKOS_LAMBDA(std::int64_t p) {
        const std::int64_t first = p * piece, last = count - first < piece ? count : first + piece;
        for (std::int64_t a = 0; a < n; ++a) {
          T* const to = nodes(additions(a).to).values;
          const T* const from = nodes(additions(a).from).values;
          for (std::int64_t i = first; i < last; ++i) to[i] += from[i];
        }
        const T* const sum = nodes(0).values;
        for (std::int64_t i = first; i < last; ++i) result(i) = sum[i];
      });
}

#define TRIREME_INSTANTIATE(T)                                                             \
  template void take_virtual_rank(const Execution&, std::int64_t, bool, Span<T>, Span<T>); \
  template void add_nodes(const Execution&, std::int64_t, Span<const NodeMemory<T>>, Span<const NodeAddition>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
