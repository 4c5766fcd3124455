// Register tiles for convolutions of few destination channels, planar: a register holds neighboring pixels of one channel, so that all of
// its lanes work where channels would fill half of it at most. A tile is all channels of a group times some registers of pixels.
#pragma once

#include <algorithm>
#include <utility>

#include "kokkos_kernels/detail/conv_layout.hpp"

namespace trireme::detail {

inline constexpr int planar_accumulators = simd_registers >= 32 ? 24 : 10;
/// Most registers of pixels (forward) or (tap, channel) lines (weights) of a tile with C channels.
template <int C>
inline constexpr int planar_depth = std::clamp(planar_accumulators / C, 1, 8);

/// What is the same for all tiles of a call.
template <class T>
struct PlanarJob {
  const HostPhase* h;
  const T* source;     // of the group's first channel
  std::int64_t from;   // source channels of the group
  const T* weights;    // packed, of the group
  std::int64_t lanes;  // between packed weights of neighboring (tap, channel) pairs
  const T* bias;       // of the group's channels; null: 0
};

/// Register v of channel m: source pixels from origins[v] on, result at targets[v] + m * target_channel.
template <class T, int C, int V>
void planar_tile(const PlanarJob<T>& job, const std::int64_t* origins, T* const* targets, std::int64_t target_channel) {
  Register<T> acc[C][V];
#pragma GCC unroll 8
  for (int m = 0; m < C; ++m)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) acc[m][v] = broadcast(job.bias != nullptr ? job.bias[m] : T{});
  const HostPhase& h = *job.h;
  const T* w = job.weights;
  for (const std::int64_t plane : h.plane_offsets)
    for (const std::int64_t row : h.row_offsets)
      for (const std::int64_t column : h.phase.offsets[2]) {
        const T* s = job.source + plane + row + (column - h.phase.low[2]);
        for (std::int64_t c = 0; c < job.from; ++c, s += h.channel_stride, w += job.lanes) {
          Register<T> x[V];
#pragma GCC unroll 8
          for (int v = 0; v < V; ++v) x[v] = load(s + origins[v]);
#pragma GCC unroll 8
          for (int m = 0; m < C; ++m) {
            const Register<T> weight = broadcast(w[m]);
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) acc[m][v] += x[v] * weight;
          }
        }
      }
#pragma GCC unroll 8
  for (int m = 0; m < C; ++m)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) store(targets[v] + m * target_channel, acc[m][v]);
}

/// Lines l (tap, channel) of the weight gradient times C output channels: out[(l * C + m) * width + lane] += what that lane's pixels give.
/// dy has zeros beyond its rows' ends.
template <class T, int C, int L>
void planar_gradient_tile(const T* source, const std::int64_t* offsets, std::int64_t source_row, const T* dy, std::int64_t dy_row, std::int64_t dy_channel,
                          std::int64_t rows, std::int64_t registers, T* out) {
  constexpr int width = Simd<T>::width;
  Register<T> acc[L][C];
#pragma GCC unroll 8
  for (int l = 0; l < L; ++l)
#pragma GCC unroll 8
    for (int m = 0; m < C; ++m) acc[l][m] = Register<T>{};
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t v = 0; v < registers; ++v) {
      const T* const s = source + row * source_row + v * width;
      const T* const d = dy + row * dy_row + v * width;
      Register<T> g[C];
#pragma GCC unroll 8
      for (int m = 0; m < C; ++m) g[m] = load(d + m * dy_channel);
#pragma GCC unroll 8
      for (int l = 0; l < L; ++l) {
        const Register<T> x = load(s + offsets[l]);
#pragma GCC unroll 8
        for (int m = 0; m < C; ++m) acc[l][m] += x * g[m];
      }
    }
#pragma GCC unroll 8
  for (int l = 0; l < L; ++l)
#pragma GCC unroll 8
    for (int m = 0; m < C; ++m, out += width) store(out, load(out) + acc[l][m]);
}

template <class T>
using PlanarTile = void (*)(const PlanarJob<T>&, const std::int64_t*, T* const*, std::int64_t);
template <class T>
using PlanarGradientTile = void (*)(const T*, const std::int64_t*, std::int64_t, const T*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, T*);

/// The tiles of one number of channels: [depth - 1].
template <class T>
struct PlanarTiles {
  const PlanarTile<T>* forward;
  const PlanarGradientTile<T>* gradient;
  std::int64_t depth;  // the deepest
};

template <class T, int C, int... D>
PlanarTiles<T> planar_tiles_of(std::integer_sequence<int, D...>) {
  static constexpr PlanarTile<T> forward[] = {&planar_tile<T, C, D + 1>...};
  static constexpr PlanarGradientTile<T> gradient[] = {&planar_gradient_tile<T, C, D + 1>...};
  return {forward, gradient, sizeof...(D)};
}

template <class T, int... C>
PlanarTiles<T> select_planar_tiles(std::int64_t channels, std::integer_sequence<int, C...>) {
  static const PlanarTiles<T> table[] = {planar_tiles_of<T, C + 1>(std::make_integer_sequence<int, planar_depth<C + 1>>{})...};
  return table[channels - 1];
}

template <class T>
PlanarTiles<T> select_planar_tiles(std::int64_t channels) {
  return select_planar_tiles<T>(channels, std::make_integer_sequence<int, static_cast<int>(planar_limit<T>)>{});
}

/// Columns of a planar row of results: whole registers.
template <class T>
std::int64_t planar_columns(std::int64_t columns) {
  return (columns + Simd<T>::width - 1) / Simd<T>::width * Simd<T>::width;
}

}  // namespace trireme::detail
