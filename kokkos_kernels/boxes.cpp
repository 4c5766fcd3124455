#include "kokkos_kernels/boxes.hpp"

namespace trireme {

namespace {

// f(from, to, count) for runs of elements that lie one after the other in both: rows of pixels on the host, elements on a device.
template <class F>
void for_runs(const Execution& exec, const char* label, std::int64_t n, const BoxCopy& box, const F& f) {
  const BoxCopy b = box;
  const std::int64_t run = b.extent[2] * b.channels;
  const auto begin = KOKKOS_LAMBDA(std::int64_t row, std::int64_t& from, std::int64_t& to) {
    const std::int64_t h = row % b.extent[1], d = row / b.extent[1] % b.extent[0], s = row / (b.extent[1] * b.extent[0]);
    from = (((s * b.from[0] + b.from_first[0] + d) * b.from[1] + b.from_first[1] + h) * b.from[2] + b.from_first[2]) * b.channels;
    to = (((s * b.to[0] + b.to_first[0] + d) * b.to[1] + b.to_first[1] + h) * b.to[2] + b.to_first[2]) * b.channels;
  };
  const std::int64_t rows = n * b.extent[0] * b.extent[1];
  if constexpr (on_host)
    Kokkos::parallel_for(label, Range(exec, 0, rows), KOKKOS_LAMBDA(std::int64_t row) {
      std::int64_t from = 0, to = 0;
      begin(row, from, to);
      f(from, to, run);
    });
  else
    Kokkos::parallel_for(label, Range(exec, 0, rows * run), KOKKOS_LAMBDA(std::int64_t i) {
      std::int64_t from = 0, to = 0;
      begin(i / run, from, to);
      f(from + i % run, to + i % run, 1);
    });
}

}  // namespace

template <class T>
void copy_box(const Execution& exec, std::int64_t n, const BoxCopy& box, Span<const T> from, Span<T> to) {
  const T* const x = from.data();
  T* const y = to.data();
  for_runs(exec, "trireme::boxes::copy", n, box, KOKKOS_LAMBDA(std::int64_t a, std::int64_t b, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) y[b + i] = x[a + i];
  });
}

template <class T>
void add_box(const Execution& exec, std::int64_t n, const BoxCopy& box, Span<const T> from, Span<T> to) {
  const T* const x = from.data();
  T* const y = to.data();
  for_runs(exec, "trireme::boxes::add", n, box, KOKKOS_LAMBDA(std::int64_t a, std::int64_t b, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) y[b + i] += x[a + i];
  });
}

#define TRIREME_INSTANTIATE(T)                                                                          \
  template void copy_box(const Execution&, std::int64_t, const BoxCopy&, Span<const T>, Span<T>);       \
  template void add_box(const Execution&, std::int64_t, const BoxCopy&, Span<const T>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE
template void copy_box(const Execution&, std::int64_t, const BoxCopy&, Span<const std::uint8_t>, Span<std::uint8_t>);

}  // namespace trireme
