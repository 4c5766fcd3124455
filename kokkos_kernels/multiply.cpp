#include "kokkos_kernels/multiply.hpp"

#include "kokkos_kernels/detail/pixels.hpp"

namespace trireme {

namespace {

template <class T>
struct Operands {
  MultiplyGeometry g;
  MultiplyInputs<T> x;

  // Element (pixel (d, h, w) of the result's box, channel c) of an operand.
  KOKKOS_INLINE_FUNCTION T value(int k, std::int64_t sample, std::int64_t d, std::int64_t h, std::int64_t w, std::int64_t c) const {
    const MultiplyOperand& o = g.operand[static_cast<std::size_t>(k)];
    const std::int64_t row = (sample * o.extent[0] + (o.broadcast[0] ? 0 : o.first[0] + d)) * o.extent[1] + (o.broadcast[1] ? 0 : o.first[1] + h);
    return x[static_cast<std::size_t>(k)]((row * o.extent[2] + (o.broadcast[2] ? 0 : o.first[2] + w)) * o.channels + (o.channels == 1 ? 0 : c));
  }
  // The product of all operands but one.
  KOKKOS_INLINE_FUNCTION T product(int without, std::int64_t sample, std::int64_t d, std::int64_t h, std::int64_t w, std::int64_t c, T start) const {
    T result = start;
    for (int k = 0; k < g.count; ++k)
      if (k != without) result *= value(k, sample, d, h, w, c);
    return result;
  }
};

}  // namespace

template <class T>
void multiply_forward(const Execution& exec, const MultiplyGeometry& geometry, std::int64_t n, const MultiplyInputs<T>& x, Span<T> y) {
  const Operands<T> all{geometry, x};
  const std::int64_t channels = geometry.channels;
  detail::for_pixel_channels(
      exec, "trireme::multiply::forward", n * geometry.out_pixels(), channels, KOKKOS_LAMBDA(std::int64_t pixel, std::int64_t first, std::int64_t count) {
        const detail::PixelPlace p = detail::pixel_place(pixel, all.g.out);
        for (std::int64_t c = first; c < first + count; ++c)
          y(pixel * channels + c) = all.product(0, p.sample, p.at[0], p.at[1], p.at[2], c, all.value(0, p.sample, p.at[0], p.at[1], p.at[2], c));
      });
}

template <class T>
void multiply_backward(const Execution& exec, const MultiplyGeometry& geometry, std::int64_t n, const MultiplyInputs<T>& x, Span<const T> dy, int which,
                       Span<T> dx) {
  const Operands<T> all{geometry, x};
  const MultiplyOperand operand = geometry.operand[static_cast<std::size_t>(which)];
  const std::int64_t channels = geometry.channels;
  detail::for_pixel_channels(
      exec, "trireme::multiply::backward", n * operand.size() / operand.channels, operand.channels,
      KOKKOS_LAMBDA(std::int64_t pixel, std::int64_t first, std::int64_t count) {
        const detail::PixelPlace p = detail::pixel_place(pixel, operand.extent);
        std::int64_t low[3], high[3];
        for (int a = 0; a < 3; ++a) {
          low[a] = operand.broadcast[a] ? 0 : p.at[a] - operand.first[a];
          high[a] = operand.broadcast[a] ? all.g.out[a] : low[a] + 1;
          if (low[a] < 0 || high[a] > all.g.out[a]) high[a] = low[a];  // outside the box
        }
        const std::int64_t more = operand.channels == 1 ? channels : 1;
        constexpr std::int64_t block = on_host ? 16 : 1;  // channels whose sums are in registers
        for (std::int64_t begin = first; begin < first + count; begin += block) {
          const std::int64_t used = first + count - begin < block ? first + count - begin : block;
          double sums[block] = {};
          for (std::int64_t d = low[0]; d < high[0]; ++d)
            for (std::int64_t h = low[1]; h < high[1]; ++h)
              for (std::int64_t w = low[2]; w < high[2]; ++w) {
                const std::int64_t at = (((p.sample * all.g.out[0] + d) * all.g.out[1] + h) * all.g.out[2] + w) * channels + begin;
                for (std::int64_t k = 0; k < used; ++k)
                  for (std::int64_t m = 0; m < more; ++m) sums[k] += static_cast<double>(all.product(which, p.sample, d, h, w, begin + k + m, dy(at + k + m)));
              }
          for (std::int64_t k = 0; k < used; ++k) dx(pixel * operand.channels + begin + k) = static_cast<T>(sums[k]);
        }
      });
}

#define TRIREME_INSTANTIATE(T)                                                                                                \
  template void multiply_forward(const Execution&, const MultiplyGeometry&, std::int64_t, const MultiplyInputs<T>&, Span<T>); \
  template void multiply_backward(const Execution&, const MultiplyGeometry&, std::int64_t, const MultiplyInputs<T>&, Span<const T>, int, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
