// y(o) = max or mean of x(o * stride - padding + k), 0 <= k < kernel, in each dimension; dx gives dy to the place of the maximum, or its share to all.
//
// Channels are the inner loop: it vectorizes on the host; on a device a thread takes one channel. Forward passes and the device's backward
// passes gather, so that no two threads write one place. The host's backward passes give a thread a sample, or a band of it, and scatter into it,
// which needs no search for the windows that hold a pixel.
#include "kokkos_kernels/pool.hpp"

namespace trireme {

namespace detail {

// The part of dx that a thread of the host's backward pass owns: places [low, high) along `axis`, of one sample.
struct Band {
  int axis;
  std::int64_t low, high;

  KOKKOS_INLINE_FUNCTION bool holds(std::int64_t start, std::int64_t kernel, std::int64_t in) const {
    return (start < 0 ? 0 : start) >= low && (start + kernel < in ? start + kernel : in) <= high;
  }
};

}  // namespace detail

namespace {

using detail::Band;

constexpr std::int64_t channel_block = on_host ? 32 : 1;

struct Pixel {
  std::int64_t sample, d, h, w;
};

// Index: what numbers of pixels fit in; a device divides 32 bits several times as fast as 64.
template <class Index>
KOKKOS_INLINE_FUNCTION Pixel pixel_of(Index at, const std::array<std::int64_t, 3>& extent) {
  const auto d = static_cast<Index>(extent[0]), h = static_cast<Index>(extent[1]), w = static_cast<Index>(extent[2]);
  return {at / (h * w * d), at / (h * w) % d, at / w % h, at % w};
}

struct Bounds {
  std::int64_t low, high;
};

// Kernel places k with 0 <= at + k < extent.
KOKKOS_INLINE_FUNCTION Bounds places(std::int64_t at, std::int64_t kernel, std::int64_t extent) {
  return {at < 0 ? -at : 0, kernel < extent - at ? kernel : extent - at};
}

// Output pixels whose window holds input pixel i (already shifted by the padding): stride*o <= i < stride*o + kernel.
KOKKOS_INLINE_FUNCTION Bounds windows(std::int64_t i, std::int64_t kernel, std::int64_t stride, std::int64_t out) {
  if (i < 0) return {0, 0};  // before the first window of a part
  const auto step = static_cast<std::uint32_t>(stride);
  const std::int64_t low = i < kernel ? 0 : static_cast<std::uint32_t>(i - kernel) / step + 1, high = static_cast<std::uint32_t>(i) / step + 1;
  return {low, high < out ? high : out};
}

template <class F>
void device_blocks(const Execution& exec, const char* label, std::int64_t pixels, const std::array<std::int64_t, 3>& extent, std::int64_t channels,
                   const F& f) {
  if (pixels * channels < std::int64_t{1} << 32) {
    const auto width = static_cast<std::uint32_t>(channels);
    Kokkos::parallel_for(
        label, Range(exec, 0, pixels * channels), KOKKOS_LAMBDA(std::int64_t i) {
          const auto at = static_cast<std::uint32_t>(i), pixel = at / width;
          f(pixel_of(pixel, extent), pixel, at % width, 1);
        });
  } else {
    Kokkos::parallel_for(
        label, Range(exec, 0, pixels * channels), KOKKOS_LAMBDA(std::int64_t i) { f(pixel_of(i / channels, extent), i / channels, i % channels, 1); });
  }
}

// f(pixel, its number, first channel, channels) for all pixels of n samples of this extent. The host takes a row of pixels at a time, so
// that indices are divided once a row.
template <class F>
void for_blocks(const Execution& exec, const char* label, std::int64_t n, const std::array<std::int64_t, 3>& extent, std::int64_t channels, const F& f) {
  const std::int64_t pixels = n * extent[0] * extent[1] * extent[2];
  if constexpr (on_host) {
    Kokkos::parallel_for(
        label, Range(exec, 0, n * extent[0] * extent[1]), KOKKOS_LAMBDA(std::int64_t row) {
          Pixel pixel = pixel_of<std::int64_t>(row * extent[2], extent);
          for (; pixel.w < extent[2]; ++pixel.w)
            for (std::int64_t first = 0; first < channels; first += channel_block)
              f(pixel, row * extent[2] + pixel.w, first, channels - first < channel_block ? channels - first : channel_block);
        });
  } else {
    device_blocks(exec, label, pixels, extent, channels, f);
  }
}

// The host's backward pass: f(band, the sample's dx, output pixel, first place of its window (d, h, w)) for all windows that reach into a band, in order;
// the band's dx is already zero. Few samples are cut into bands along the outermost axis with more than one place:
//
//   windows of 3, stride 2      |--0--|
//                                   |--1--|
//                                       |--2--|
//                                           |--3--|
//   dx, cut in two bands        . . . . | . . . . .     window 1 reaches into both: each band's thread adds its part of it
//
// A place gets its terms in the order of the outputs, however many bands there are, so bits do not depend on the number of threads.
template <class T, class F>
void scatter_bands(const Execution& exec, const char* label, const PoolGeometry& geometry, std::int64_t n, Span<T> dx, const F& f) {
  if (n == 0) return;
  const PoolGeometry g = geometry;
  const std::int64_t threads = exec.concurrency();
  const int axis = g.in[0] > 1 ? 0 : g.in[1] > 1 ? 1 : 2;
  const std::int64_t in = g.in[static_cast<std::size_t>(axis)], outs = g.out[static_cast<std::size_t>(axis)];
  const std::int64_t wanted = threads == 1 ? 1 : (4 * threads + n - 1) / n, each = outs < wanted ? 1 : (outs + wanted - 1) / wanted;
  const std::int64_t bands = (outs + each - 1) / each, slice = g.in_pixels() / in * g.channels;
  Kokkos::parallel_for(
      label, Range(exec, 0, n * bands), KOKKOS_LAMBDA(std::int64_t item) {
        const std::int64_t sample = item / bands, band = item % bands, stride = g.stride[axis], padding = g.padding[axis];
        const auto inside = [&](std::int64_t place) { return place < 0 ? 0 : place < in ? place : in; };
        const std::int64_t low = band == 0 ? 0 : inside(band * each * stride - padding);
        const std::int64_t high = band == bands - 1 ? in : inside((band + 1) * each * stride - padding);
        if (low >= high) return;
        const Band own{axis, low, high};
        T* const to = dx.data() + sample * g.in_pixels() * g.channels;
        for (std::int64_t i = low * slice; i < high * slice; ++i) to[i] = T{};
        std::int64_t first[3] = {0, 0, 0}, last[3] = {g.out[0], g.out[1], g.out[2]};
        first[axis] = windows(low + padding, g.kernel[axis], stride, outs).low;
        last[axis] = windows(high - 1 + padding, g.kernel[axis], stride, outs).high;
        for (std::int64_t d = first[0]; d < last[0]; ++d)
          for (std::int64_t h = first[1]; h < last[1]; ++h)
            for (std::int64_t w = first[2]; w < last[2]; ++w)
              f(own, to, ((sample * g.out[0] + d) * g.out[1] + h) * g.out[2] + w, d * g.stride[0] - g.padding[0], h * g.stride[1] - g.padding[1],
                w * g.stride[2] - g.padding[2]);
      });
}

KOKKOS_INLINE_FUNCTION std::int64_t divisor(const PoolGeometry& g, std::int64_t d, std::int64_t h, std::int64_t w, bool count_padding) {
  // PyTorch: places within the padded extent count, those beyond it do not.
  std::int64_t product = 1;
  const std::int64_t start[3] = {d * g.stride[0] - g.padding[0], h * g.stride[1] - g.padding[1], w * g.stride[2] - g.padding[2]};
  for (int a = 0; a < 3; ++a) {
    const std::int64_t margin = count_padding ? g.padding[a] : 0;
    const std::int64_t low = start[a] < -margin ? -margin : start[a];
    const std::int64_t end = start[a] + g.kernel[a], limit = g.in[a] + (count_padding ? g.behind[a] : 0);
    product *= (end < limit ? end : limit) - low;
  }
  return product;
}

template <class T, class Index>
void max_forward(const Execution& exec, const PoolGeometry& g, std::int64_t n, Span<const T> x, Span<T> y, Index* index) {
  for_blocks(
      exec, "trireme::pool::max_forward", n, g.out, g.channels, KOKKOS_LAMBDA(const Pixel& o, std::int64_t at, std::int64_t first, std::int64_t count) {
        const std::int64_t d0 = o.d * g.stride[0] - g.padding[0], h0 = o.h * g.stride[1] - g.padding[1], w0 = o.w * g.stride[2] - g.padding[2];
        const Bounds bd = places(d0, g.kernel[0], g.in[0]), bh = places(h0, g.kernel[1], g.in[1]), bw = places(w0, g.kernel[2], g.in[2]);
        T best[channel_block];
        Index place[channel_block];
        bool fresh = true;
        for (std::int64_t kd = bd.low; kd < bd.high; ++kd)
          for (std::int64_t kh = bh.low; kh < bh.high; ++kh)
            for (std::int64_t kw = bw.low; kw < bw.high; ++kw) {
              const T* const in = x.data() + (((o.sample * g.in[0] + d0 + kd) * g.in[1] + h0 + kh) * g.in[2] + w0 + kw) * g.channels + first;
              const Index k = static_cast<Index>((kd * g.kernel[1] + kh) * g.kernel[2] + kw);
              if (fresh) {
                for (std::int64_t c = 0; c < count; ++c) best[c] = in[c], place[c] = k;
                fresh = false;
              } else {
                for (std::int64_t c = 0; c < count; ++c) {
                  const bool wins = in[c] > best[c] || in[c] != in[c];
                  best[c] = wins ? in[c] : best[c];
                  place[c] = wins ? k : place[c];
                }
              }
            }
        T* const out = y.data() + at * g.channels + first;
        for (std::int64_t c = 0; c < count; ++c) out[c] = best[c];
        if (index != nullptr)
          for (std::int64_t c = 0; c < count; ++c) index[at * g.channels + first + c] = place[c];
      });
}

// Host. Places of a window: k = (kd * kernel[1] + kh) * kernel[2] + kw. Where one byte holds k, a table gives its distance from the window's first place,
// because two divisions per element would take longer than all else.
template <class T, class Index>
void max_scatter(const Execution& exec, const PoolGeometry& geometry, std::int64_t n, Span<const T> dy, const Index* index, Span<T> dx) {
  const PoolGeometry g = geometry;
  const std::int64_t row = g.in[2] * g.channels, plane = g.in[1] * row, kw = g.kernel[2], kh = g.kernel[1];
  constexpr bool tabled = sizeof(Index) == 1;
  Kokkos::Array<std::int64_t, tabled ? 256 : 1> table{};
  if (tabled)
    for (std::int64_t k = 0; k < g.window(); ++k) table[static_cast<std::size_t>(k)] = k / (kh * kw) * plane + k / kw % kh * row + k % kw * g.channels;
  scatter_bands<T>(
      exec, "trireme::pool::max_backward", g, n, dx, KOKKOS_LAMBDA(const Band& band, T* to, std::int64_t at, std::int64_t d, std::int64_t h, std::int64_t w) {
        const std::int64_t corner = d * plane + h * row + w * g.channels, start = band.axis == 0 ? d : band.axis == 1 ? h : w;
        const Index* const places = index + at * g.channels;
        const T* const from = dy.data() + at * g.channels;
        if (tabled && band.holds(start, g.kernel[band.axis], g.in[band.axis])) {
          for (std::int64_t c = 0; c < g.channels; ++c) to[corner + table[places[c]] + c] += from[c];
          return;
        }
        for (std::int64_t c = 0; c < g.channels; ++c) {
          const std::int64_t k = places[c], line = k / kw, deep = line / kh, high = line - deep * kh, wide = k - line * kw;
          const std::int64_t place = start + (band.axis == 0 ? deep : band.axis == 1 ? high : wide);
          if (place >= band.low && place < band.high) to[corner + deep * plane + high * row + wide * g.channels + c] += from[c];
        }
      });
}

// Device.
template <class T, class Index>
void max_gather(const Execution& exec, const PoolGeometry& g, std::int64_t n, Span<const T> dy, const Index* index, Span<T> dx) {
  for_blocks(
      exec, "trireme::pool::max_backward", n, g.in, g.channels, KOKKOS_LAMBDA(const Pixel& i, std::int64_t at, std::int64_t first, std::int64_t count) {
        const std::int64_t id = i.d + g.padding[0], ih = i.h + g.padding[1], iw = i.w + g.padding[2];
        const Bounds bd = windows(id, g.kernel[0], g.stride[0], g.out[0]), bh = windows(ih, g.kernel[1], g.stride[1], g.out[1]),
                     bw = windows(iw, g.kernel[2], g.stride[2], g.out[2]);
        T sum[channel_block];
        for (std::int64_t c = 0; c < count; ++c) sum[c] = T{};
        for (std::int64_t od = bd.low; od < bd.high; ++od)
          for (std::int64_t oh = bh.low; oh < bh.high; ++oh)
            for (std::int64_t ow = bw.low; ow < bw.high; ++ow) {
              const std::int64_t from = (((i.sample * g.out[0] + od) * g.out[1] + oh) * g.out[2] + ow) * g.channels + first;
              const Index k = static_cast<Index>(((id - od * g.stride[0]) * g.kernel[1] + ih - oh * g.stride[1]) * g.kernel[2] + iw - ow * g.stride[2]);
              for (std::int64_t c = 0; c < count; ++c) sum[c] += index[from + c] == k ? dy(from + c) : T{};
            }
        T* const out = dx.data() + at * g.channels + first;
        for (std::int64_t c = 0; c < count; ++c) out[c] = sum[c];
      });
}

template <class T, class Index>
void max_backward(const Execution& exec, const PoolGeometry& g, std::int64_t n, Span<const T> dy, const Index* index, Span<T> dx) {
  if constexpr (on_host)
    max_scatter<T>(exec, g, n, dy, index, dx);
  else
    max_gather<T>(exec, g, n, dy, index, dx);
}

}  // namespace

std::int64_t max_pool_index_bytes(const PoolGeometry& g) { return g.window() <= 256 ? 1 : 2; }

template <class T>
void max_pool_forward(const Execution& exec, const PoolGeometry& g, std::int64_t n, Span<const T> x, Span<T> y, Span<std::uint8_t> index) {
  if (max_pool_index_bytes(g) == 1)
    max_forward<T>(exec, g, n, x, y, index.data());
  else
    max_forward<T>(exec, g, n, x, y, reinterpret_cast<std::uint16_t*>(index.data()));
}

template <class T>
void max_pool_backward(const Execution& exec, const PoolGeometry& g, std::int64_t n, Span<const T> dy, Span<const std::uint8_t> index, Span<T> dx) {
  if (max_pool_index_bytes(g) == 1)
    max_backward<T>(exec, g, n, dy, index.data(), dx);
  else
    max_backward<T>(exec, g, n, dy, reinterpret_cast<const std::uint16_t*>(index.data()), dx);
}

template <class T>
void avg_pool_forward(const Execution& exec, const PoolGeometry& g, std::int64_t n, Span<const T> x, Span<T> y, bool count_padding) {
  for_blocks(
      exec, "trireme::pool::avg_forward", n, g.out, g.channels, KOKKOS_LAMBDA(const Pixel& o, std::int64_t at, std::int64_t first, std::int64_t count) {
        const std::int64_t d0 = o.d * g.stride[0] - g.padding[0], h0 = o.h * g.stride[1] - g.padding[1], w0 = o.w * g.stride[2] - g.padding[2];
        const Bounds bd = places(d0, g.kernel[0], g.in[0]), bh = places(h0, g.kernel[1], g.in[1]), bw = places(w0, g.kernel[2], g.in[2]);
        T sum[channel_block];
        for (std::int64_t c = 0; c < count; ++c) sum[c] = T{};
        for (std::int64_t kd = bd.low; kd < bd.high; ++kd)
          for (std::int64_t kh = bh.low; kh < bh.high; ++kh)
            for (std::int64_t kw = bw.low; kw < bw.high; ++kw) {
              const T* const in = x.data() + (((o.sample * g.in[0] + d0 + kd) * g.in[1] + h0 + kh) * g.in[2] + w0 + kw) * g.channels + first;
              for (std::int64_t c = 0; c < count; ++c) sum[c] += in[c];
            }
        const T factor = T{1} / static_cast<T>(divisor(g, o.d, o.h, o.w, count_padding));
        T* const out = y.data() + at * g.channels + first;
        for (std::int64_t c = 0; c < count; ++c) out[c] = sum[c] * factor;
      });
}

namespace {

// Host.
template <class T>
void avg_scatter(const Execution& exec, const PoolGeometry& geometry, std::int64_t n, Span<const T> dy, Span<T> dx, bool count_padding) {
  const PoolGeometry g = geometry;
  scatter_bands<T>(
      exec, "trireme::pool::avg_backward", g, n, dx, KOKKOS_LAMBDA(const Band& band, T* to, std::int64_t at, std::int64_t d, std::int64_t h, std::int64_t w) {
        const Pixel o = pixel_of<std::int64_t>(at, g.out);
        const T factor = T{1} / static_cast<T>(divisor(g, o.d, o.h, o.w, count_padding));
        const std::int64_t start[3] = {d, h, w};
        Bounds b[3];
        for (int a = 0; a < 3; ++a) b[a] = places(start[a], g.kernel[a], g.in[a]);
        Bounds& cut = b[band.axis];
        cut.low = band.low - start[band.axis] > cut.low ? band.low - start[band.axis] : cut.low;
        cut.high = band.high - start[band.axis] < cut.high ? band.high - start[band.axis] : cut.high;
        const T* const from = dy.data() + at * g.channels;
        for (std::int64_t kd = b[0].low; kd < b[0].high; ++kd)
          for (std::int64_t kh = b[1].low; kh < b[1].high; ++kh)
            for (std::int64_t kw = b[2].low; kw < b[2].high; ++kw) {
              T* const place = to + (((d + kd) * g.in[1] + h + kh) * g.in[2] + w + kw) * g.channels;
              for (std::int64_t c = 0; c < g.channels; ++c) place[c] += from[c] * factor;
            }
      });
}

// Device.
template <class T>
void avg_gather(const Execution& exec, const PoolGeometry& g, std::int64_t n, Span<const T> dy, Span<T> dx, bool count_padding) {
  for_blocks(
      exec, "trireme::pool::avg_backward", n, g.in, g.channels, KOKKOS_LAMBDA(const Pixel& i, std::int64_t at, std::int64_t first, std::int64_t count) {
        const Bounds bd = windows(i.d + g.padding[0], g.kernel[0], g.stride[0], g.out[0]), bh = windows(i.h + g.padding[1], g.kernel[1], g.stride[1], g.out[1]),
                     bw = windows(i.w + g.padding[2], g.kernel[2], g.stride[2], g.out[2]);
        T sum[channel_block];
        for (std::int64_t c = 0; c < count; ++c) sum[c] = T{};
        for (std::int64_t od = bd.low; od < bd.high; ++od)
          for (std::int64_t oh = bh.low; oh < bh.high; ++oh)
            for (std::int64_t ow = bw.low; ow < bw.high; ++ow) {
              const T factor = T{1} / static_cast<T>(divisor(g, od, oh, ow, count_padding));
              const T* const from = dy.data() + (((i.sample * g.out[0] + od) * g.out[1] + oh) * g.out[2] + ow) * g.channels + first;
              for (std::int64_t c = 0; c < count; ++c) sum[c] += from[c] * factor;
            }
        T* const out = dx.data() + at * g.channels + first;
        for (std::int64_t c = 0; c < count; ++c) out[c] = sum[c];
      });
}

}  // namespace

template <class T>
void avg_pool_backward(const Execution& exec, const PoolGeometry& g, std::int64_t n, Span<const T> dy, Span<T> dx, bool count_padding) {
  if constexpr (on_host)
    avg_scatter<T>(exec, g, n, dy, dx, count_padding);
  else
    avg_gather<T>(exec, g, n, dy, dx, count_padding);
}

#define TRIREME_INSTANTIATE(T)                                                                                                            \
  template void max_pool_forward(const Execution&, const PoolGeometry&, std::int64_t, Span<const T>, Span<T>, Span<std::uint8_t>);        \
  template void max_pool_backward(const Execution&, const PoolGeometry&, std::int64_t, Span<const T>, Span<const std::uint8_t>, Span<T>); \
  template void avg_pool_forward(const Execution&, const PoolGeometry&, std::int64_t, Span<const T>, Span<T>, bool);                      \
  template void avg_pool_backward(const Execution&, const PoolGeometry&, std::int64_t, Span<const T>, Span<T>, bool);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
