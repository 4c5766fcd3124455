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

/// Most pixels of a tile such that accumulators, weights and one broadcast fit the registers.
template <int Registers>
inline constexpr int tile_limit = simd_registers >= 32 ? (Registers == 2 ? 14 : 14) : (Registers == 2 ? 6 : 12);

/// Cuts n into equal parts of at most `limit`.
inline std::int64_t tile_size(std::int64_t n, std::int64_t limit) {
  const std::int64_t parts = (n + limit - 1) / limit;
  return (n + parts - 1) / parts;
}

/// Which taps a tile walks: kernel planes [first_plane, last_plane), in each kernel rows [first_row, last_row), in each all runs.
struct TapRange {
  std::int64_t first_plane, last_plane, first_row, last_row;
  bool empty() const { return first_plane >= last_plane || first_row >= last_row; }
};

/// What is the same for all tiles of a call.
template <class T>
struct TileJob {
  const TapRun* runs;
  std::int64_t run_count;
  const T* source;
  const std::int64_t* plane_offsets;  // source elements, per kernel plane
  const std::int64_t* row_offsets;    // source elements, per kernel row
  std::int64_t plane_weights, row_weights;  // packed weights of a kernel plane and row
  std::int64_t source_pixel, target_pixel;  // between neighbouring pixels of the tile
  std::int64_t lanes;                 // of this block that exist
  const T* bias;                      // lanes to start from; null: start from the destination (a later part of the taps)
  bool relu;                          // at the end (the last part of the taps)
};

template <class T, int Registers>
inline void load_lanes(const T* from, std::int64_t lanes, Register<T> (&to)[Registers]) {
  constexpr int width = Simd<T>::width;
  if (lanes == Registers * width) {
    for (int v = 0; v < Registers; ++v) to[v] = load(from + v * width);
    return;
  }
  T part[Registers * width] = {};
  for (std::int64_t lane = 0; lane < lanes; ++lane) part[lane] = from[lane];
  for (int v = 0; v < Registers; ++v) to[v] = load(part + v * width);
}

template <class T, int Registers>
inline void store_lanes(const Register<T> (&from)[Registers], std::int64_t lanes, T* to) {
  constexpr int width = Simd<T>::width;
  if (lanes == Registers * width) {
    for (int v = 0; v < Registers; ++v) store(to + v * width, from[v]);
    return;
  }
  T part[Registers * width];
  for (int v = 0; v < Registers; ++v) store(part + v * width, from[v]);
  for (std::int64_t lane = 0; lane < lanes; ++lane) to[lane] = part[lane];
}

/// P destination pixels times Registers registers of channels. Tap (plane, row) of the tile's first pixel reads the source from
/// job.source[origin + plane_offsets[plane] + row_offsets[row]] on; `weights` are the block's packed weights.
template <class T, int P, int Registers>
void conv_tile(const TileJob<T>& job, const TapRange& range, std::int64_t origin, const T* weights, T* destination) {
  constexpr int width = Simd<T>::width;
  Register<T> acc[P][Registers];
  if (job.bias) {
    Register<T> start[Registers];
    for (int v = 0; v < Registers; ++v) start[v] = load(job.bias + v * width);
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p)
      for (int v = 0; v < Registers; ++v) acc[p][v] = start[v];
  } else {
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) load_lanes<T, Registers>(destination + p * job.target_pixel, job.lanes, acc[p]);
  }
  const std::int64_t step = job.source_pixel;
  for (std::int64_t plane = range.first_plane; plane < range.last_plane; ++plane) {
    const T* w_at = weights + plane * job.plane_weights + range.first_row * job.row_weights;
    for (std::int64_t row = range.first_row; row < range.last_row; ++row) {
      const T* const line = job.source + (origin + job.plane_offsets[plane] + job.row_offsets[row]);
      for (std::int64_t r = 0; r < job.run_count; ++r) {
        const T* s = line + job.runs[r].offset;
        const T* const end = s + job.runs[r].length;
        for (; s != end; ++s, w_at += Registers * width) {
          Register<T> w[Registers];
#pragma GCC unroll 2
          for (int v = 0; v < Registers; ++v) w[v] = load(w_at + v * width);
#pragma GCC unroll 16
          for (int p = 0; p < P; ++p) {
            const Register<T> x = broadcast(s[p * step]);
#pragma GCC unroll 2
            for (int v = 0; v < Registers; ++v) acc[p][v] += x * w[v];
          }
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) {
    if (job.relu)
      for (int v = 0; v < Registers; ++v) acc[p][v] = acc[p][v] < Register<T>{} ? Register<T>{} : acc[p][v];  // NaN stays
    store_lanes<T, Registers>(acc[p], job.lanes, destination + p * job.target_pixel);
  }
}

template <class T>
using ConvTile = void (*)(const TileJob<T>&, const TapRange&, std::int64_t, const T*, T*);

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

inline std::int64_t padded(std::int64_t elements) { return (elements + 15) / 16 * 16; }

struct Interval {
  std::int64_t first, last;
};

/// Taps of one dimension that read inside the source when the destination is at `at` (already multiplied by the pace).
inline Interval inside(const std::vector<std::int64_t>& offsets, std::int64_t at, std::int64_t extent) {
  Interval i{0, static_cast<std::int64_t>(offsets.size())};
  const auto out = [&](std::int64_t k) {
    const std::int64_t source = at + offsets[static_cast<std::size_t>(k)];
    return source < 0 || source >= extent;
  };
  while (i.first < i.last && out(i.first)) ++i.first;
  while (i.first < i.last && out(i.last - 1)) --i.last;
  return i;
}

/// Fills in what the kernels need to know of a phase whose source has these extents and channels.
inline HostPhase prepare(TapPhase phase, const std::array<std::int64_t, 3>& pace, const std::array<std::int64_t, 3>& source,
                         std::int64_t channels, std::int64_t groups, std::size_t element, bool zero_rows) {
  constexpr std::int64_t budget = 96 * 1024;  // bytes of source rows that shall stay near
  HostPhase h;
  h.pace = pace;
  h.zero_rows = zero_rows;
  std::array<std::int64_t, 3> extent{};
  for (std::size_t a = 0; a < 3; ++a) {
    extent[a] = (phase.count[a] - 1) * pace[a] + phase.high[a] - phase.low[a] + 1;
    if (a == 2 || zero_rows) h.copies = h.copies || phase.low[a] < 0 || phase.low[a] + extent[a] > source[a];
  }
  const std::int64_t planes = phase.high[0] - phase.low[0] + 1, reach = phase.high[1] - phase.low[1];
  const std::int64_t lines = budget / (extent[2] * channels * planes * static_cast<std::int64_t>(element)) - reach;
  h.rows = std::clamp<std::int64_t>(lines / pace[1], 1, std::max<std::int64_t>(phase.count[1], 1));
  const std::int64_t window_lines = (h.rows - 1) * pace[1] + reach + 1;
  h.row_stride = (h.copies ? extent[2] : source[2]) * channels;
  h.plane_stride = (h.copies ? window_lines : source[1]) * h.row_stride;
  h.window = h.copies ? padded(planes * h.plane_stride) : 0;
  for (const std::int64_t offset : phase.offsets[0]) h.plane_offsets.push_back(offset * h.plane_stride);
  for (const std::int64_t offset : phase.offsets[1]) h.row_offsets.push_back(offset * h.row_stride);
  const std::int64_t from = channels / groups;
  for (const std::int64_t offset : phase.offsets[2]) {
    const std::int64_t at = (offset - phase.low[2]) * channels;
    if (groups == 1 && !h.runs.empty() && h.runs.back().offset + h.runs.back().length == at)
      h.runs.back().length += from;
    else
      h.runs.push_back({at, from});
  }
  h.phase = std::move(phase);
  return h;
}

/// Source rows of one sample as the kernels read them: the first column read of source plane d and row r (for destination offset 0)
/// is base[(d - plane) * plane_stride + (r - row) * row_stride].
template <class T>
struct SourceRows {
  const T* base;
  std::int64_t plane, row;
  std::int64_t origin(const HostPhase& h, std::int64_t depth, std::int64_t r) const {
    return (depth * h.pace[0] - plane) * h.plane_stride + (r * h.pace[1] - row) * h.row_stride;
  }
};

/// The source rows that destination rows [row0, row0 + rows) of plane `depth` read: where they lie, or copied into `copy`.
template <class T>
SourceRows<T> source_rows(const HostPhase& h, const std::array<std::int64_t, 3>& source, std::int64_t channels, const T* sample,
                          std::int64_t depth, std::int64_t row0, std::int64_t rows, T* copy) {
  const TapPhase& phase = h.phase;
  if (!h.copies) return {sample + phase.low[2] * channels, 0, 0};
  const std::int64_t first_plane = depth * h.pace[0] + phase.low[0], last_plane = depth * h.pace[0] + phase.high[0];
  const std::int64_t first_row = row0 * h.pace[1] + phase.low[1], last_row = (row0 + rows - 1) * h.pace[1] + phase.high[1];
  const std::int64_t columns = h.row_stride / channels;
  const std::int64_t left = std::clamp<std::int64_t>(-phase.low[2], 0, columns), right = std::clamp<std::int64_t>(source[2] - phase.low[2], left, columns);
  for (std::int64_t d = first_plane; d <= last_plane; ++d)
    for (std::int64_t r = first_row; r <= last_row; ++r) {
      T* const to = copy + (d - first_plane) * h.plane_stride + (r - first_row) * h.row_stride;
      if (d < 0 || d >= source[0] || r < 0 || r >= source[1]) {
        if (h.zero_rows) std::fill_n(to, h.row_stride, T{});
        continue;
      }
      std::fill_n(to, left * channels, T{});
      std::copy_n(sample + ((d * source[1] + r) * source[2] + phase.low[2] + left) * channels, (right - left) * channels, to + left * channels);
      std::fill_n(to + right * channels, (columns - right) * channels, T{});
    }
  return {copy, first_plane, first_row};
}

}  // namespace trireme::detail
