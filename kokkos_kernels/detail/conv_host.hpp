// The direct convolution kernels of the host. See conv.hpp for the scheme.
#pragma once

#include <algorithm>
#include <cstring>

#include "kokkos_kernels/conv.hpp"
#include "kokkos_kernels/detail/simd.hpp"

namespace trireme::detail {

/// How `channels` destination channels of one group are cut into blocks of one or two registers.
template <class T>
struct ChannelBlocks {
  static constexpr std::int64_t width = Simd<T>::width;
  std::int64_t channels;

  std::int64_t count() const { return (channels + 2 * width - 1) / (2 * width); }
  std::int64_t first(std::int64_t block) const { return block * 2 * width; }
  std::int64_t used(std::int64_t block) const { return std::min(2 * width, channels - first(block)); }
  int registers(std::int64_t block) const { return used(block) > width ? 2 : 1; }
  /// Lanes of all blocks before `block`; lanes(count()) is the padded number of channels.
  std::int64_t lanes(std::int64_t block) const {
    const std::int64_t full = std::min(first(block), channels);
    return (full + width - 1) / width * width;
  }
};

/// Consecutive taps whose channels lie one after the other in memory, as one run: `length` source elements from `offset`.
struct TapRun {
  std::int64_t offset, length;
};

/// Strides of the source as a tile sees it: the activation itself, or a padded window of it.
struct SourceStrides {
  std::int64_t depth, row, pixel;
};

inline void make_runs(const TapPhase& phase, const SourceStrides& strides, std::int64_t group_channels, bool may_join,
                      std::vector<TapRun>& runs) {
  runs.clear();
  for (const auto& o : phase.offsets) {
    const std::int64_t offset = (o[0] - phase.low[0]) * strides.depth + (o[1] - phase.low[1]) * strides.row +
                                (o[2] - phase.low[2]) * strides.pixel;
    if (may_join && !runs.empty() && runs.back().offset + runs.back().length == offset)
      runs.back().length += group_channels;
    else
      runs.push_back({offset, group_channels});
  }
}

/// Most pixels of a tile such that accumulators, weights and one broadcast fit the registers.
template <int Registers>
inline constexpr int tile_limit = simd_registers >= 32 ? (Registers == 2 ? 14 : 14) : (Registers == 2 ? 6 : 12);

/// Cuts n into equal parts of at most `limit`.
inline std::int64_t tile_size(std::int64_t n, std::int64_t limit) {
  const std::int64_t parts = (n + limit - 1) / limit;
  return (n + parts - 1) / parts;
}

struct TileTarget {
  std::int64_t pixel_stride;  // between neighbouring destination pixels
  std::int64_t lanes;         // of this block that exist
  bool relu;
};

/// P destination pixels times Registers registers of channels: acc = bias + sum over runs.
template <class T, int P, int Registers>
void conv_tile(const T* source, std::int64_t pixel_stride, const TapRun* runs, std::int64_t run_count, const T* weights, const T* bias,
               T* destination, const TileTarget& target) {
  constexpr int width = Simd<T>::width;
  Register<T> acc[P][Registers];
  for (int v = 0; v < Registers; ++v) {
    const Register<T> start = bias ? load(bias + v * width) : Register<T>{};
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) acc[p][v] = start;
  }
  for (std::int64_t r = 0; r < run_count; ++r) {
    const T* s = source + runs[r].offset;
    const T* const end = s + runs[r].length;
    for (; s != end; ++s, weights += Registers * width) {
      Register<T> w[Registers];
#pragma GCC unroll 2
      for (int v = 0; v < Registers; ++v) w[v] = load(weights + v * width);
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) {
        const Register<T> x = broadcast(s[p * pixel_stride]);
#pragma GCC unroll 2
        for (int v = 0; v < Registers; ++v) acc[p][v] += x * w[v];
      }
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) {
    T* const to = destination + p * target.pixel_stride;
#pragma GCC unroll 2
    for (int v = 0; v < Registers; ++v) {
      if (target.relu) acc[p][v] = acc[p][v] > Register<T>{} ? acc[p][v] : Register<T>{};
      if (target.lanes >= (v + 1) * width) {
        store(to + v * width, acc[p][v]);
      } else {
        T part[width];
        store(part, acc[p][v]);
        for (std::int64_t lane = v * width; lane < target.lanes; ++lane) to[lane] = part[lane - v * width];
      }
    }
  }
}

template <class T>
using ConvTile = void (*)(const T*, std::int64_t, const TapRun*, std::int64_t, const T*, const T*, T*, const TileTarget&);

template <class T, int Registers, int... P>
ConvTile<T> select_tile(int pixels, std::integer_sequence<int, P...>) {
  static constexpr ConvTile<T> table[] = {&conv_tile<T, P + 1, Registers>...};
  return table[pixels - 1];
}

template <class T>
ConvTile<T> select_tile(int pixels, int registers) {
  return registers == 2 ? select_tile<T, 2>(pixels, std::make_integer_sequence<int, tile_limit<2>>{})
                        : select_tile<T, 1>(pixels, std::make_integer_sequence<int, tile_limit<1>>{});
}

/// A tile of the weight gradient: Rows (tap, channel) pairs times Registers registers of output channels, summed over a block of pixels.
template <class T, int Rows, int Registers>
void gradient_tile(const T* source, const std::int64_t* offsets, std::int64_t source_row, std::int64_t source_pixel, const T* dy,
                   std::int64_t dy_row, std::int64_t dy_pixel, std::int64_t rows, std::int64_t pixels, T* out) {
  constexpr int width = Simd<T>::width;
  Register<T> acc[Rows][Registers];
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Registers; ++v) acc[r][v] = Register<T>{};
  for (std::int64_t row = 0; row < rows; ++row) {
    const T* s = source + row * source_row;
    const T* d = dy + row * dy_row;
    for (std::int64_t p = 0; p < pixels; ++p, s += source_pixel, d += dy_pixel) {
      Register<T> g[Registers];
#pragma GCC unroll 2
      for (int v = 0; v < Registers; ++v) g[v] = load(d + v * width);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const Register<T> x = broadcast(s[offsets[r]]);
#pragma GCC unroll 2
        for (int v = 0; v < Registers; ++v) acc[r][v] += x * g[v];
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Registers; ++v, out += width) store(out, load(out) + acc[r][v]);
}

template <class T>
using GradientTile = void (*)(const T*, const std::int64_t*, std::int64_t, std::int64_t, const T*, std::int64_t, std::int64_t, std::int64_t,
                              std::int64_t, T*);

template <class T, int Registers, int... R>
GradientTile<T> select_gradient_tile(int rows, std::integer_sequence<int, R...>) {
  static constexpr GradientTile<T> table[] = {&gradient_tile<T, R + 1, Registers>...};
  return table[rows - 1];
}

template <class T>
GradientTile<T> select_gradient_tile(int rows, int registers) {
  return registers == 2 ? select_gradient_tile<T, 2>(rows, std::make_integer_sequence<int, tile_limit<2>>{})
                        : select_gradient_tile<T, 1>(rows, std::make_integer_sequence<int, tile_limit<1>>{});
}

/// The part of one sample that a block of destination rows reads.
struct Window {
  std::array<std::int64_t, 3> first, extent;  // in source pixels; may reach outside the source
  bool inside;                                // lies wholly inside: no copy needed
};

inline Window window_of(const TapPhase& phase, const std::array<std::int64_t, 3>& pace, const std::array<std::int64_t, 3>& source,
                        std::int64_t depth, std::int64_t row, std::int64_t rows) {
  Window w{};
  w.first = {depth * pace[0] + phase.low[0], row * pace[1] + phase.low[1], phase.low[2]};
  w.extent = {phase.high[0] - phase.low[0] + 1, (rows - 1) * pace[1] + phase.high[1] - phase.low[1] + 1,
              (phase.count[2] - 1) * pace[2] + phase.high[2] - phase.low[2] + 1};
  w.inside = true;
  for (std::size_t a = 0; a < 3; ++a) w.inside = w.inside && w.first[a] >= 0 && w.first[a] + w.extent[a] <= source[a];
  return w;
}

/// Copies a window of one sample, zeros where it reaches outside.
template <class T>
void copy_window(const Window& window, const std::array<std::int64_t, 3>& source, std::int64_t channels, const T* from, T* to) {
  const std::int64_t line = window.extent[2] * channels;
  const std::int64_t left = std::clamp<std::int64_t>(-window.first[2], 0, window.extent[2]);
  const std::int64_t right = std::clamp<std::int64_t>(source[2] - window.first[2], left, window.extent[2]);
  for (std::int64_t d = 0; d < window.extent[0]; ++d)
    for (std::int64_t h = 0; h < window.extent[1]; ++h, to += line) {
      const std::int64_t sd = window.first[0] + d, sh = window.first[1] + h;
      if (sd < 0 || sd >= source[0] || sh < 0 || sh >= source[1]) {
        std::fill_n(to, line, T{});
        continue;
      }
      const T* row = from + (sd * source[1] + sh) * source[2] * channels;
      std::fill_n(to, left * channels, T{});
      std::copy_n(row + (window.first[2] + left) * channels, (right - left) * channels, to + left * channels);
      std::fill_n(to + right * channels, (window.extent[2] - right) * channels, T{});
    }
}

/// Destination rows handled together: as many as keep the window in the nearer caches.
inline std::int64_t rows_per_block(const TapPhase& phase, const std::array<std::int64_t, 3>& pace, std::int64_t channels, std::size_t element) {
  constexpr std::int64_t budget = 96 * 1024;
  const std::int64_t line = ((phase.count[2] - 1) * pace[2] + phase.high[2] - phase.low[2] + 1) * channels *
                            (phase.high[0] - phase.low[0] + 1) * static_cast<std::int64_t>(element);
  const std::int64_t lines = budget / std::max<std::int64_t>(line, 1) - (phase.high[1] - phase.low[1]);
  return std::clamp<std::int64_t>(lines / std::max<std::int64_t>(pace[1], 1), 1, std::max<std::int64_t>(phase.count[1], 1));
}

inline std::int64_t window_elements(const TapPhase& phase, const std::array<std::int64_t, 3>& pace, std::int64_t channels,
                                    std::int64_t rows) {
  const Window w = window_of(phase, pace, {0, 0, 0}, 0, 0, rows);
  return w.extent[0] * w.extent[1] * w.extent[2] * channels;
}

inline std::int64_t padded(std::int64_t elements) { return (elements + 15) / 16 * 16; }

}  // namespace trireme::detail
