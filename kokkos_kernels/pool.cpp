// Channels are the inner loop: it vectorises on the host; on a device a thread takes one channel. Forward passes and the device's backward
// passes gather, so that no two threads write one place; the host's backward passes give a thread a whole sample and scatter into it, which
// needs no search for the windows that hold a pixel.
#include "kokkos_kernels/pool.hpp"

namespace trireme {

namespace {

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
void device_blocks(const Execution& exec, const char* label, std::int64_t pixels, const std::array<std::int64_t, 3>& extent, std::int64_t channels, const F& f) {
  if (pixels * channels < std::int64_t{1} << 32) {
    const auto width = static_cast<std::uint32_t>(channels);
    Kokkos::parallel_for(label, Range(exec, 0, pixels * channels), KOKKOS_LAMBDA(std::int64_t i) {
      const auto at = static_cast<std::uint32_t>(i), pixel = at / width;
      f(pixel_of(pixel, extent), pixel, at % width, 1);
    });
  } else {
    Kokkos::parallel_for(label, Range(exec, 0, pixels * channels),
                         KOKKOS_LAMBDA(std::int64_t i) { f(pixel_of(i / channels, extent), i / channels, i % channels, 1); });
  }
}

// f(pixel, its number, first channel, channels) for all pixels of n samples of this extent. The host takes a row of pixels at a time, so
// that indices are divided once a row.
template <class F>
void for_blocks(const Execution& exec, const char* label, std::int64_t n, const std::array<std::int64_t, 3>& extent, std::int64_t channels, const F& f) {
  const std::int64_t pixels = n * extent[0] * extent[1] * extent[2];
  if constexpr (on_host) {
    Kokkos::parallel_for(label, Range(exec, 0, n * extent[0] * extent[1]), KOKKOS_LAMBDA(std::int64_t row) {
      Pixel pixel = pixel_of<std::int64_t>(row * extent[2], extent);
      for (; pixel.w < extent[2]; ++pixel.w)
        for (std::int64_t first = 0; first < channels; first += channel_block)
          f(pixel, row * extent[2] + pixel.w, first, channels - first < channel_block ? channels - first : channel_block);
    });
  } else {
    device_blocks(exec, label, pixels, extent, channels, f);
  }
}

// The host's backward: f(sample, output row's first pixel) with the sample's dx already zero.
template <class T, class F>
void scatter_samples(const Execution& exec, const char* label, const PoolGeometry& g, std::int64_t n, Span<T> dx, const F& f) {
  Kokkos::parallel_for(label, Range(exec, 0, n), KOKKOS_LAMBDA(std::int64_t sample) {
    T* const to = dx.data() + sample * g.in_pixels() * g.channels;
    for (std::int64_t i = 0; i < g.in_pixels() * g.channels; ++i) to[i] = T{};
    std::int64_t at = sample * g.out_pixels();
    for (std::int64_t d = 0; d < g.out[0]; ++d)
      for (std::int64_t h = 0; h < g.out[1]; ++h)
        for (std::int64_t w = 0; w < g.out[2]; ++w, ++at)
          f(to, at, d * g.stride[0] - g.padding[0], h * g.stride[1] - g.padding[1], w * g.stride[2] - g.padding[2]);
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
  for_blocks(exec, "trireme::pool::max_forward", n, g.out, g.channels,
             KOKKOS_LAMBDA(const Pixel& o, std::int64_t at, std::int64_t first, std::int64_t count) {
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

template <class T, class Index>
void max_backward(const Execution& exec, const PoolGeometry& g, std::int64_t n, Span<const T> dy, const Index* index, Span<T> dx) {
  if constexpr (on_host) {
    const std::int64_t row = g.in[2] * g.channels, plane = g.in[1] * row, kw = g.kernel[2], kh = g.kernel[1];
    scatter_samples<T>(exec, "trireme::pool::max_backward", g, n, dx, KOKKOS_LAMBDA(T* to, std::int64_t at, std::int64_t d, std::int64_t h, std::int64_t w) {
      const std::int64_t corner = d * plane + h * row + w * g.channels;
      const Index* const places = index + at * g.channels;
      const T* const from = dy.data() + at * g.channels;
      for (std::int64_t c = 0; c < g.channels; ++c) {
        const unsigned k = places[c], line = k / static_cast<unsigned>(kw), deep = line / static_cast<unsigned>(kh);
        to[corner + deep * plane + (line - deep * kh) * row + (k - line * kw) * g.channels + c] += from[c];
      }
    });
    return;
  }
  for_blocks(exec, "trireme::pool::max_backward", n, g.in, g.channels,
             KOKKOS_LAMBDA(const Pixel& i, std::int64_t at, std::int64_t first, std::int64_t count) {
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
  for_blocks(exec, "trireme::pool::avg_forward", n, g.out, g.channels,
             KOKKOS_LAMBDA(const Pixel& o, std::int64_t at, std::int64_t first, std::int64_t count) {
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

template <class T>
void avg_pool_backward(const Execution& exec, const PoolGeometry& g, std::int64_t n, Span<const T> dy, Span<T> dx, bool count_padding) {
  if constexpr (on_host) {
    scatter_samples<T>(exec, "trireme::pool::avg_backward", g, n, dx, KOKKOS_LAMBDA(T* to, std::int64_t at, std::int64_t d, std::int64_t h, std::int64_t w) {
      const Pixel o = pixel_of<std::int64_t>(at, g.out);
      const T factor = T{1} / static_cast<T>(divisor(g, o.d, o.h, o.w, count_padding));
      const Bounds bd = places(d, g.kernel[0], g.in[0]), bh = places(h, g.kernel[1], g.in[1]), bw = places(w, g.kernel[2], g.in[2]);
      const T* const from = dy.data() + at * g.channels;
      for (std::int64_t kd = bd.low; kd < bd.high; ++kd)
        for (std::int64_t kh = bh.low; kh < bh.high; ++kh)
          for (std::int64_t kw = bw.low; kw < bw.high; ++kw) {
            T* const place = to + (((d + kd) * g.in[1] + h + kh) * g.in[2] + w + kw) * g.channels;
            for (std::int64_t c = 0; c < g.channels; ++c) place[c] += from[c] * factor;
          }
    });
    return;
  }
  for_blocks(exec, "trireme::pool::avg_backward", n, g.in, g.channels,
             KOKKOS_LAMBDA(const Pixel& i, std::int64_t at, std::int64_t first, std::int64_t count) {
    const Bounds bd = windows(i.d + g.padding[0], g.kernel[0], g.stride[0], g.out[0]),
                 bh = windows(i.h + g.padding[1], g.kernel[1], g.stride[1], g.out[1]),
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

#define TRIREME_INSTANTIATE(T)                                                                                                        \
  template void max_pool_forward(const Execution&, const PoolGeometry&, std::int64_t, Span<const T>, Span<T>, Span<std::uint8_t>);    \
  template void max_pool_backward(const Execution&, const PoolGeometry&, std::int64_t, Span<const T>, Span<const std::uint8_t>, Span<T>); \
  template void avg_pool_forward(const Execution&, const PoolGeometry&, std::int64_t, Span<const T>, Span<T>, bool);                  \
  template void avg_pool_backward(const Execution&, const PoolGeometry&, std::int64_t, Span<const T>, Span<T>, bool);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
