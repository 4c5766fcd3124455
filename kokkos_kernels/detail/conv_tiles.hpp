// Register tiles of the host's convolutions, channels last: a tile of pixels (forward, backward-data) or of (tap, channel) pairs
// (backward-weights) times one or two registers of channels stays in registers while taps or pixels are walked.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>

#include "kokkos_kernels/detail/conv_layout.hpp"

namespace trireme::detail {

/// Most pixels of a tile such that accumulators, weights and one broadcast fit the registers.
template <int Registers>
inline constexpr int tile_limit = simd_registers >= 32 ? 14 : (Registers == 2 ? 6 : 12);

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
  const std::int64_t* plane_offsets;        // source elements, per kernel plane
  const std::int64_t* row_offsets;          // source elements, per kernel row
  std::int64_t plane_weights, row_weights;  // packed weights of a kernel plane and row
  std::int64_t source_pixel, target_pixel;  // between neighboring pixels of the tile
  std::int64_t lanes;                       // of this block that exist
  const T* bias;                            // lanes to start from; null: start from the destination (a later part of the taps)
  bool acts;                                // v < 0 ? slope v : v at the end (the last part of the taps)
  T slope;
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

/// v < 0 ? slope v : v; NaN stays.
template <class T>
inline Register<T> act(const Register<T>& v, T slope) {
  const Register<T> below = slope == T{} ? Register<T>{} : v * slope;  // 0, not NaN, for minus infinity
  return v < Register<T>{} ? below : v;
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
    if (job.acts)
      for (int v = 0; v < Registers; ++v) acc[p][v] = act(acc[p][v], job.slope);
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
/// Neighbors: row r of the tile is offsets[0] + r, as rows of a matrix product are.
template <class T, int Rows, int Registers, bool Neighbours>
void gradient_tile(const T* source, const std::int64_t* offsets, std::int64_t source_row, std::int64_t source_pixel, const T* dy, std::int64_t dy_row,
                   std::int64_t dy_pixel, std::int64_t rows, std::int64_t pixels, T* out) {
  constexpr int width = Simd<T>::width;
  Register<T> acc[Rows][Registers];
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Registers; ++v) acc[r][v] = Register<T>{};
  if (Neighbours) source += offsets[0];
  for (std::int64_t row = 0; row < rows; ++row) {
    const T* s = source + row * source_row;
    const T* d = dy + row * dy_row;
    for (std::int64_t p = 0; p < pixels; ++p, s += source_pixel, d += dy_pixel) {
      Register<T> g[Registers];
#pragma GCC unroll 2
      for (int v = 0; v < Registers; ++v) g[v] = load(d + v * width);
#pragma GCC unroll 24
      for (int r = 0; r < Rows; ++r) {
        const Register<T> x = broadcast(s[Neighbours ? r : offsets[r]]);
#pragma GCC unroll 2
        for (int v = 0; v < Registers; ++v) acc[r][v] += x * g[v];
      }
    }
  }
#pragma GCC unroll 24
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Registers; ++v, out += width) store(out, load(out) + acc[r][v]);
}

/// Most rows of such a tile. More than pixels of a tile above: 16 channels are one tile.
template <int Registers>
inline constexpr int gradient_limit = simd_registers >= 32 ? (Registers == 2 ? 14 : 16) : (Registers == 2 ? 6 : 12);

template <class T>
using GradientTile = void (*)(const T*, const std::int64_t*, std::int64_t, std::int64_t, const T*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, T*);

template <class T, int Registers, bool Neighbours, int... R>
GradientTile<T> select_gradient_tile(int rows, std::integer_sequence<int, R...>) {
  static constexpr GradientTile<T> table[] = {&gradient_tile<T, R + 1, Registers, Neighbours>...};
  return table[rows - 1];
}

template <class T, bool Neighbours = false>
GradientTile<T> select_gradient_tile(int rows, int registers) {
  return registers == 2 ? select_gradient_tile<T, 2, Neighbours>(rows, std::make_integer_sequence<int, gradient_limit<2>>{})
                        : select_gradient_tile<T, 1, Neighbours>(rows, std::make_integer_sequence<int, gradient_limit<1>>{});
}

}  // namespace trireme::detail
