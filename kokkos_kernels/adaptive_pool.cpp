// Both passes gather, so that no two threads write one place and sums have a fixed order.
#include "kokkos_kernels/adaptive_pool.hpp"

#include "kokkos_kernels/detail/pixels.hpp"

namespace trireme {

namespace {

KOKKOS_INLINE_FUNCTION std::int64_t size_of(const AdaptiveWindow& w) { return w.high - w.low; }

// Positions of the output box whose window contains position i of the input box.
KOKKOS_INLINE_FUNCTION AdaptiveWindow readers(const AdaptivePoolGeometry& g, int a, std::int64_t i) {
  AdaptiveWindow w = adaptive_window(g.in_first[a] + i, g.whole_out[a], g.whole_in[a]);
  w.low -= g.out_first[a], w.high -= g.out_first[a];
  return {w.low < 0 ? 0 : w.low, w.high > g.out[a] ? g.out[a] : w.high};
}

}  // namespace

template <class T>
void adaptive_avg_pool_forward(const Execution& exec, const AdaptivePoolGeometry& geometry, std::int64_t n, Span<const T> x, Span<T> y) {
  const AdaptivePoolGeometry g = geometry;
  detail::for_pixel_channels(
      exec, "trireme::adaptive_pool::forward", n * g.out_pixels(), g.channels, KOKKOS_LAMBDA(std::int64_t pixel, std::int64_t first, std::int64_t count) {
        const detail::PixelPlace p = detail::pixel_place(pixel, g.out);
        AdaptiveWindow window[3];
        for (int a = 0; a < 3; ++a) window[a] = adaptive_window(g.out_first[a] + p.at[a], g.whole_in[a], g.whole_out[a]);
        T* const out = y.data() + pixel * g.channels + first;
        for (std::int64_t c = 0; c < count; ++c) out[c] = T{};
        for (std::int64_t d = window[0].low; d < window[0].high; ++d)
          for (std::int64_t h = window[1].low; h < window[1].high; ++h)
            for (std::int64_t w = window[2].low; w < window[2].high; ++w) {
              const std::int64_t row = (p.sample * g.in[0] + d - g.in_first[0]) * g.in[1] + h - g.in_first[1];
              const T* const in = x.data() + (row * g.in[2] + w - g.in_first[2]) * g.channels + first;
              for (std::int64_t c = 0; c < count; ++c) out[c] += in[c];
            }
        const T size = static_cast<T>(size_of(window[0]) * size_of(window[1]) * size_of(window[2]));
        for (std::int64_t c = 0; c < count; ++c) out[c] /= size;
      });
}

template <class T>
void adaptive_avg_pool_backward(const Execution& exec, const AdaptivePoolGeometry& geometry, std::int64_t n, Span<const T> dy, Span<T> dx) {
  const AdaptivePoolGeometry g = geometry;
  detail::for_pixel_channels(
      exec, "trireme::adaptive_pool::backward", n * g.in_pixels(), g.channels, KOKKOS_LAMBDA(std::int64_t pixel, std::int64_t first, std::int64_t count) {
        const detail::PixelPlace p = detail::pixel_place(pixel, g.in);
        const AdaptiveWindow deep = readers(g, 0, p.at[0]), high = readers(g, 1, p.at[1]), wide = readers(g, 2, p.at[2]);
        T* const out = dx.data() + pixel * g.channels + first;
        for (std::int64_t c = 0; c < count; ++c) out[c] = T{};
        for (std::int64_t d = deep.low; d < deep.high; ++d) {
          const std::int64_t planes = size_of(adaptive_window(g.out_first[0] + d, g.whole_in[0], g.whole_out[0]));
          for (std::int64_t h = high.low; h < high.high; ++h) {
            const std::int64_t rows = planes * size_of(adaptive_window(g.out_first[1] + h, g.whole_in[1], g.whole_out[1]));
            for (std::int64_t w = wide.low; w < wide.high; ++w) {
              const T size = static_cast<T>(rows * size_of(adaptive_window(g.out_first[2] + w, g.whole_in[2], g.whole_out[2])));
              const T* const from = dy.data() + (((p.sample * g.out[0] + d) * g.out[1] + h) * g.out[2] + w) * g.channels + first;
              for (std::int64_t c = 0; c < count; ++c) out[c] += from[c] / size;
            }
          }
        }
      });
}

#define TRIREME_INSTANTIATE(T)                                                                                                  \
  template void adaptive_avg_pool_forward(const Execution&, const AdaptivePoolGeometry&, std::int64_t, Span<const T>, Span<T>); \
  template void adaptive_avg_pool_backward(const Execution&, const AdaptivePoolGeometry&, std::int64_t, Span<const T>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
