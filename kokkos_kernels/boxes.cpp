// A row of pixels of a box is consecutive in both arrays; all else is index arithmetic, once per row:
//
//   from (n, D, H, W, C)      to (n, D', H', W', C)
//   . . . . . .               . . . .
//   . a a a . .      ->       . a a a
//   . b b b . .               . b b b
#include "kokkos_kernels/boxes.hpp"

#include "kokkos_kernels/detail/launch.hpp"

namespace trireme {

namespace {

// f(from, to, count) for runs of elements that are consecutive in both.
template <class F>
void for_runs(const Execution& exec, const char* label, std::int64_t n, const BoxCopy& box, const F& f) {
  const BoxCopy b = box;
  const std::int64_t run = b.extent[2] * b.channels;
  detail::for_rows(
      exec, label, n * b.extent[0] * b.extent[1], run, KOKKOS_LAMBDA(std::int64_t row, std::int64_t first, std::int64_t count) {
        const std::int64_t h = row % b.extent[1], d = row / b.extent[1] % b.extent[0], s = row / (b.extent[1] * b.extent[0]);
        const std::int64_t from = (((s * b.from[0] + b.from_first[0] + d) * b.from[1] + b.from_first[1] + h) * b.from[2] + b.from_first[2]) * b.channels;
        const std::int64_t to = (((s * b.to[0] + b.to_first[0] + d) * b.to[1] + b.to_first[1] + h) * b.to[2] + b.to_first[2]) * b.channels;
        f(from + first, to + first, count);
      });
}

}  // namespace

template <class T>
void copy_box(const Execution& exec, std::int64_t n, const BoxCopy& box, Span<const T> from, Span<T> to) {
  const T* const x = from.data();
  T* const y = to.data();
  for_runs(
      exec, "trireme::boxes::copy", n, box, KOKKOS_LAMBDA(std::int64_t a, std::int64_t b, std::int64_t count) {
        for (std::int64_t i = 0; i < count; ++i) y[b + i] = x[a + i];
      });
}

template <class T>
void add_box(const Execution& exec, std::int64_t n, const BoxCopy& box, Span<const T> from, Span<T> to) {
  const T* const x = from.data();
  T* const y = to.data();
  for_runs(
      exec, "trireme::boxes::add", n, box, KOKKOS_LAMBDA(std::int64_t a, std::int64_t b, std::int64_t count) {
        for (std::int64_t i = 0; i < count; ++i) y[b + i] += x[a + i];
      });
}

#define TRIREME_INSTANTIATE(T)                                                                    \
  template void copy_box(const Execution&, std::int64_t, const BoxCopy&, Span<const T>, Span<T>); \
  template void add_box(const Execution&, std::int64_t, const BoxCopy&, Span<const T>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE
template void copy_box(const Execution&, std::int64_t, const BoxCopy&, Span<const std::uint8_t>, Span<std::uint8_t>);

}  // namespace trireme
