// Both passes gather, so that no two threads write one place and sums have a fixed order.
#include "kokkos_kernels/pad.hpp"

#include "kokkos_kernels/detail/pixels.hpp"

namespace trireme {

namespace {

// The position within the input box that position o of the output box reads; -1: padding with zeros.
KOKKOS_INLINE_FUNCTION std::int64_t source(const PadGeometry& g, int a, std::int64_t o) {
  const std::int64_t n = g.whole[a];
  std::int64_t i = g.out_first[a] + o - g.before[a];
  switch (g.mode[a]) {
    case PadMode::zeros:
      if (i < 0 || i >= n) return -1;
      break;
    case PadMode::reflect:
      i = i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
      break;
    case PadMode::replicate:
      i = i < 0 ? 0 : i >= n ? n - 1 : i;
      break;
    case PadMode::circular:
      i = i < g.in_first[a] ? i + n : i >= g.in_first[a] + g.in[a] ? i - n : i;
      break;
  }
  return i - g.in_first[a];
}

// The positions of the output box that read one position of the input: three ranges in ascending order, some of them empty.
struct Readers {
  std::int64_t low[3] = {0, 0, 0}, high[3] = {0, 0, 0};
};

KOKKOS_INLINE_FUNCTION Readers readers(const PadGeometry& g, int a, std::int64_t local) {
  const std::int64_t n = g.whole[a], before = g.before[a], after = g.after[a], i = g.in_first[a] + local;
  Readers r;
  r.low[1] = i + before, r.high[1] = i + before + 1;
  switch (g.mode[a]) {
    case PadMode::zeros:
      break;
    case PadMode::replicate:
      if (i == 0) r.low[1] = 0;
      if (i == n - 1) r.high[1] = n + before + after;
      break;
    case PadMode::reflect:
      if (i >= 1 && i <= before) r.low[0] = before - i, r.high[0] = before - i + 1;
      if (i <= n - 2 && i >= n - 1 - after) r.low[2] = before + 2 * (n - 1) - i, r.high[2] = r.low[2] + 1;
      break;
    case PadMode::circular:
      if (i - n < g.in_first[a] && i - n + before >= 0) r.low[0] = i - n + before, r.high[0] = r.low[0] + 1;
      if (i + n >= g.in_first[a] + g.in[a] && i < after) r.low[2] = i + n + before, r.high[2] = r.low[2] + 1;
      break;
  }
  for (int k = 0; k < 3; ++k) {
    r.low[k] -= g.out_first[a], r.high[k] -= g.out_first[a];
    if (r.low[k] < 0) r.low[k] = 0;
    if (r.high[k] > g.out[a]) r.high[k] = g.out[a];
  }
  return r;
}

// f(position) for the positions of all three ranges.
template <class F>
KOKKOS_INLINE_FUNCTION void for_readers(const Readers& r, const F& f) {
  for (int k = 0; k < 3; ++k)
    for (std::int64_t o = r.low[k]; o < r.high[k]; ++o) f(o);
}

}  // namespace

template <class T>
void pad_forward(const Execution& exec, const PadGeometry& geometry, std::int64_t n, Span<const T> x, Span<T> y) {
  const PadGeometry g = geometry;
  detail::for_pixel_channels(
      exec, "trireme::pad::forward", n * g.out_pixels(), g.channels, KOKKOS_LAMBDA(std::int64_t pixel, std::int64_t first, std::int64_t count) {
        const detail::PixelPlace p = detail::pixel_place(pixel, g.out);
        const std::int64_t d = source(g, 0, p.at[0]), h = source(g, 1, p.at[1]), w = source(g, 2, p.at[2]);
        T* const out = y.data() + pixel * g.channels + first;
        if (d < 0 || h < 0 || w < 0) {
          for (std::int64_t c = 0; c < count; ++c) out[c] = T{};
          return;
        }
        const T* const in = x.data() + (((p.sample * g.in[0] + d) * g.in[1] + h) * g.in[2] + w) * g.channels + first;
        for (std::int64_t c = 0; c < count; ++c) out[c] = in[c];
      });
}

template <class T>
void pad_backward(const Execution& exec, const PadGeometry& geometry, std::int64_t n, Span<const T> dy, Span<T> dx) {
  const PadGeometry g = geometry;
  detail::for_pixel_channels(
      exec, "trireme::pad::backward", n * g.in_pixels(), g.channels, KOKKOS_LAMBDA(std::int64_t pixel, std::int64_t first, std::int64_t count) {
        const detail::PixelPlace p = detail::pixel_place(pixel, g.in);
        const Readers deep = readers(g, 0, p.at[0]), high = readers(g, 1, p.at[1]), wide = readers(g, 2, p.at[2]);
        T* const out = dx.data() + pixel * g.channels + first;
        for (std::int64_t c = 0; c < count; ++c) out[c] = T{};
        for_readers(deep, [&](std::int64_t d) {
          for_readers(high, [&](std::int64_t h) {
            for_readers(wide, [&](std::int64_t w) {
              const T* const from = dy.data() + (((p.sample * g.out[0] + d) * g.out[1] + h) * g.out[2] + w) * g.channels + first;
              for (std::int64_t c = 0; c < count; ++c) out[c] += from[c];
            });
          });
        });
      });
}

#define TRIREME_INSTANTIATE(T)                                                                           \
  template void pad_forward(const Execution&, const PadGeometry&, std::int64_t, Span<const T>, Span<T>); \
  template void pad_backward(const Execution&, const PadGeometry&, std::int64_t, Span<const T>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
