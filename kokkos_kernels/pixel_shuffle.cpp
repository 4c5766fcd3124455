#include "kokkos_kernels/pixel_shuffle.hpp"

#include "kokkos_kernels/detail/pixels.hpp"

namespace trireme {

template <class T>
void pixel_shuffle_forward(const Execution& exec, const PixelShuffleGeometry& geometry, std::int64_t n, Span<const T> x, Span<T> y) {
  const PixelShuffleGeometry g = geometry;
  detail::for_pixel_channels(
      exec, "trireme::pixel_shuffle::forward", n * g.out_pixels(), g.channels, KOKKOS_LAMBDA(std::int64_t pixel, std::int64_t first, std::int64_t count) {
        const detail::PixelPlace p = detail::pixel_place(pixel, g.out);
        std::int64_t tap = 0, from = p.sample;
        for (int a = 0; a < 3; ++a) {
          const std::int64_t o = g.out_first[a] + p.at[a];
          tap = tap * g.factor[a] + o % g.factor[a];
          from = from * g.in[a] + o / g.factor[a] - g.in_first[a];
        }
        const std::int64_t taps = g.taps();
        for (std::int64_t c = first; c < first + count; ++c) y(pixel * g.channels + c) = x((from * g.channels + c) * taps + tap);
      });
}

template <class T>
void pixel_shuffle_backward(const Execution& exec, const PixelShuffleGeometry& geometry, std::int64_t n, Span<const T> dy, Span<T> dx) {
  const PixelShuffleGeometry g = geometry;
  detail::for_pixel_channels(
      exec, "trireme::pixel_shuffle::backward", n * g.in_pixels(), g.channels * g.taps(),
      KOKKOS_LAMBDA(std::int64_t pixel, std::int64_t first, std::int64_t count) {
        const detail::PixelPlace p = detail::pixel_place(pixel, g.in);
        const std::int64_t taps = g.taps();
        for (std::int64_t channel = first; channel < first + count; ++channel) {
          std::int64_t tap = channel % taps, offset[3];
          for (int a = 2; a >= 0; --a) offset[a] = tap % g.factor[a], tap /= g.factor[a];
          std::int64_t from = p.sample;
          bool inside = true;
          for (int a = 0; a < 3; ++a) {
            const std::int64_t o = (g.in_first[a] + p.at[a]) * g.factor[a] + offset[a] - g.out_first[a];
            inside = inside && o >= 0 && o < g.out[a];
            from = from * g.out[a] + o;
          }
          dx(pixel * g.channels * taps + channel) = inside ? dy(from * g.channels + channel / taps) : T{};
        }
      });
}

#define TRIREME_INSTANTIATE(T)                                                                                              \
  template void pixel_shuffle_forward(const Execution&, const PixelShuffleGeometry&, std::int64_t, Span<const T>, Span<T>); \
  template void pixel_shuffle_backward(const Execution&, const PixelShuffleGeometry&, std::int64_t, Span<const T>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
