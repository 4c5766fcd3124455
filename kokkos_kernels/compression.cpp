// Elementwise, in the order of the arena. encode: wire = bf16(x + error), error = (x + error) - wire. add_received sums in the order of the ranks, with this
// rank's own x in its place, so that all ranks get the same bits.
#include "kokkos_kernels/compression.hpp"

namespace trireme {

namespace {

using Stored = detail::Stored<Bf16>;

template <class T>
KOKKOS_INLINE_FUNCTION T value(Bf16 wire) {
  return static_cast<T>(Stored::value(wire));
}

}  // namespace

template <class T>
void encode(const Execution& exec, std::int64_t count, Span<const T> x, Span<T> error, Span<Bf16> wire) {
  Kokkos::parallel_for(
      "trireme::compression::encode", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) {
        const T wanted = x(i) + error(i);
        wire(i) = Stored::from(static_cast<float>(wanted));
        const T lost = wanted - value<T>(wire(i));
        error(i) = Kokkos::isfinite(lost) ? lost : T{};  // else a step that is skipped would spoil all that follow
      });
}

template <class T>
void decode(const Execution& exec, std::int64_t count, Span<const Bf16> wire, Span<T> x) {
  Kokkos::parallel_for(
      "trireme::compression::decode", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) { x(i) = value<T>(wire(i)); });
}

template <class T>
void add_received(const Execution& exec, std::int64_t count, std::int64_t others, std::int64_t place, Span<const Bf16> wire, Span<const T> error, Span<T> x) {
  Kokkos::parallel_for(
      "trireme::compression::add_received", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) {
        T sum{};
        for (std::int64_t other = 0; other < place; ++other) sum += value<T>(wire(other * count + i));
        sum += x(i);
        for (std::int64_t other = place; other < others; ++other) sum += value<T>(wire(other * count + i));
        x(i) = sum + error(i);
      });
}

#define TRIREME_INSTANTIATE(T)                                                              \
  template void encode(const Execution&, std::int64_t, Span<const T>, Span<T>, Span<Bf16>); \
  template void decode(const Execution&, std::int64_t, Span<const Bf16>, Span<T>);          \
  template void add_received(const Execution&, std::int64_t, std::int64_t, std::int64_t, Span<const Bf16>, Span<const T>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
