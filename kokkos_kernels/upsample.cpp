// Both passes gather, so that no two threads write one place; channels are the inner loop on the host, and a device's thread takes one. Linear, scale 2:
//
//   x        a       b       c          y0 = a (edge), y1 = 3/4 a + 1/4 b, y2 = 1/4 a + 3/4 b, ...
//   y      0   1   2   3   4   5        dx of b: all outputs that read it, times the same weights
#include "kokkos_kernels/upsample.hpp"

#include "kokkos_kernels/detail/launch.hpp"

namespace trireme {

namespace {

// Input places that output place o reads: `first` with weight 1 - `second_weight`, and the one behind it.
template <class T>
struct Taps {
  std::int64_t first, count;
  T second_weight;
  KOKKOS_INLINE_FUNCTION T weight(std::int64_t k) const { return k == 0 ? T{1} - second_weight : second_weight; }
};

template <class T>
KOKKOS_INLINE_FUNCTION Taps<T> taps_of(std::int64_t o, std::int64_t in, std::int64_t scale, bool linear) {
  if (!linear || scale == 1) return {o / scale, 1, T{}};
  const std::int64_t halves = 2 * o + 1 - scale;  // 2 scale times the place
  if (halves <= 0) return {0, 1, T{}};
  const std::int64_t first = halves / (2 * scale);
  if (first + 1 >= in) return {in - 1, 1, T{}};
  return {first, 2, static_cast<T>(halves - first * 2 * scale) / static_cast<T>(2 * scale)};
}

struct Reach {
  std::int64_t low, high;
};

// Output places that may read input place i.
KOKKOS_INLINE_FUNCTION Reach reach_of(std::int64_t i, std::int64_t in, std::int64_t scale, bool linear) {
  const std::int64_t more = linear && scale > 1 ? 1 : 0;
  return {i < more ? 0 : (i - more) * scale, (i + 1 + more < in ? i + 1 + more : in) * scale};
}

// Those of them that lie in the box of the output.
KOKKOS_INLINE_FUNCTION Reach reach_in(std::int64_t i, const UpsampleGeometry& g, int a) {
  const Reach r = reach_of(i, g.whole[a], g.scale[a], g.linear);
  const std::int64_t low = g.out_first[a], high = low + g.out[a];
  return {r.low < low ? low : r.low, r.high < high ? r.high : high};
}

template <class T>
KOKKOS_INLINE_FUNCTION T weight_between(std::int64_t o, std::int64_t i, std::int64_t in, std::int64_t scale, bool linear) {
  const Taps<T> taps = taps_of<T>(o, in, scale, linear);
  return i >= taps.first && i < taps.first + taps.count ? taps.weight(i - taps.first) : T{};
}

}  // namespace

UpsampleReach upsample_reach(std::int64_t o, std::int64_t in, std::int64_t scale, bool linear) {
  const Taps<double> taps = taps_of<double>(o, in, scale, linear);
  return {taps.first, taps.first + taps.count};
}

template <class T>
void upsample_forward(const Execution& exec, const UpsampleGeometry& geometry, std::int64_t n, Span<const T> x, Span<T> y) {
  const UpsampleGeometry g = geometry;
  detail::for_rows(
      exec, "trireme::upsample::forward", n * g.out_pixels(), g.channels, KOKKOS_LAMBDA(std::int64_t pixel, std::int64_t first, std::int64_t count) {
        const std::int64_t w = pixel % g.out[2], h = pixel / g.out[2] % g.out[1], d = pixel / (g.out[2] * g.out[1]) % g.out[0], s = pixel / g.out_pixels();
        const Taps<T> td = taps_of<T>(g.out_first[0] + d, g.whole[0], g.scale[0], g.linear),
                      th = taps_of<T>(g.out_first[1] + h, g.whole[1], g.scale[1], g.linear),
                      tw = taps_of<T>(g.out_first[2] + w, g.whole[2], g.scale[2], g.linear);
        T* const out = y.data() + pixel * g.channels + first;
        for (std::int64_t c = 0; c < count; ++c) out[c] = T{};
        for (std::int64_t kd = 0; kd < td.count; ++kd)
          for (std::int64_t kh = 0; kh < th.count; ++kh)
            for (std::int64_t kw = 0; kw < tw.count; ++kw) {
              const T factor = td.weight(kd) * th.weight(kh) * tw.weight(kw);
              const T* const in =
                  x.data() + first +
                  (((s * g.in[0] + td.first + kd - g.in_first[0]) * g.in[1] + th.first + kh - g.in_first[1]) * g.in[2] + tw.first + kw - g.in_first[2]) *
                      g.channels;
              for (std::int64_t c = 0; c < count; ++c) out[c] += factor * in[c];
            }
      });
}

template <class T>
void upsample_backward(const Execution& exec, const UpsampleGeometry& geometry, std::int64_t n, Span<const T> dy, Span<T> dx) {
  const UpsampleGeometry g = geometry;
  detail::for_rows(
      exec, "trireme::upsample::backward", n * g.in_pixels(), g.channels, KOKKOS_LAMBDA(std::int64_t pixel, std::int64_t first, std::int64_t count) {
        const std::int64_t w = pixel % g.in[2], h = pixel / g.in[2] % g.in[1], d = pixel / (g.in[2] * g.in[1]) % g.in[0], s = pixel / g.in_pixels();
        const std::int64_t id = g.in_first[0] + d, ih = g.in_first[1] + h, iw = g.in_first[2] + w;
        const Reach rd = reach_in(id, g, 0), rh = reach_in(ih, g, 1), rw = reach_in(iw, g, 2);
        T* const out = dx.data() + pixel * g.channels + first;
        for (std::int64_t c = 0; c < count; ++c) out[c] = T{};
        for (std::int64_t od = rd.low; od < rd.high; ++od) {
          const T deep = weight_between<T>(od, id, g.whole[0], g.scale[0], g.linear);
          for (std::int64_t oh = rh.low; oh < rh.high; ++oh) {
            const T high = deep * weight_between<T>(oh, ih, g.whole[1], g.scale[1], g.linear);
            for (std::int64_t ow = rw.low; ow < rw.high; ++ow) {
              const T factor = high * weight_between<T>(ow, iw, g.whole[2], g.scale[2], g.linear);
              const T* const from =
                  dy.data() + first + (((s * g.out[0] + od - g.out_first[0]) * g.out[1] + oh - g.out_first[1]) * g.out[2] + ow - g.out_first[2]) * g.channels;
              for (std::int64_t c = 0; c < count; ++c) out[c] += factor * from[c];
            }
          }
        }
      });
}

#define TRIREME_INSTANTIATE(T)                                                                                     \
  template void upsample_forward(const Execution&, const UpsampleGeometry&, std::int64_t, Span<const T>, Span<T>); \
  template void upsample_backward(const Execution&, const UpsampleGeometry&, std::int64_t, Span<const T>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
