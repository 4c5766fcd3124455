// The tail of a convolution: from a thread's rows of z, which are still near, to y = act(max_pool(z)) in memory, with the places that won.
// z lies channels last with padded lanes, or planar.
#pragma once

#include <array>

#include "kokkos_kernels/detail/conv_tiles.hpp"

namespace trireme::detail {

/// Rows of z that a thread has: of `planes` planes and `rows` rows.
template <class T>
struct NearRows {
  const T* at;
  std::int64_t pixel = 0, row = 0, plane = 0, channel = 1;  // elements between neighbors
};

/// Where y's first row goes, and between neighbors there.
template <class T>
struct FarRows {
  T* at;
  std::uint8_t* index;  // as y; may be null
  std::int64_t pixel = 0, row = 0;
};

template <class T>
T act_one(T v, T slope) {
  return v < T{} ? (slope == T{} ? T{} : slope * v) : v;
}

/// Channels last: `rows` x `columns` pixels of y, `used` channels, which lie in whole registers of z.
template <class T>
void pool_lanes(const NearRows<T>& z, const std::array<std::int64_t, 3>& window, std::int64_t rows, std::int64_t columns, std::int64_t used, T slope,
                const FarRows<T>& y) {
  constexpr int width = Simd<T>::width;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t p = 0; p < columns; ++p)
      for (std::int64_t first = 0; first < used; first += width) {
        const T* const from = z.at + r * window[1] * z.row + p * window[2] * z.pixel + first;
        Register<T> best = load(from);
        Mask<T> won{};
        std::int64_t place = 0;
        for (std::int64_t d = 0; d < window[0]; ++d)
          for (std::int64_t h = 0; h < window[1]; ++h)
            for (std::int64_t w = 0; w < window[2]; ++w, ++place) {
              const Register<T> v = load(from + d * z.plane + h * z.row + w * z.pixel);
              const Mask<T> wins = (v > best) | (v != v);  // NaN wins, as in PyTorch; the first of equals stays
              best = wins ? v : best;
              won = wins ? Mask<T>{} + static_cast<MaskLane<T>>(place) : won;
            }
        const Register<T> result[1] = {act(best, slope)};
        const std::int64_t lanes = std::min<std::int64_t>(width, used - first), to = r * y.row + p * y.pixel + first;
        store_lanes<T, 1>(result, lanes, y.at + to);
        if (y.index != nullptr) store_bytes<T>(won, static_cast<std::size_t>(lanes), y.index + to);
      }
}

/// One plane's row of y in parts of at most `planar_block` pixels: the largest of each window, and its place. W: the window's width, 0: any.
inline constexpr std::int64_t planar_block = 64;
template <class T, int W>
void pool_plane_row(const T* __restrict from, const NearRows<T>& z, const std::array<std::int64_t, 3>& window, std::int64_t count, T* __restrict best,
                    MaskLane<T>* __restrict won) {
  const std::int64_t step = W > 0 ? W : window[2];
  for (std::int64_t p = 0; p < count; ++p) best[p] = from[p * step], won[p] = 0;
  MaskLane<T> place = 0;
  for (std::int64_t d = 0; d < window[0]; ++d)
    for (std::int64_t h = 0; h < window[1]; ++h)
      for (std::int64_t w = 0; w < window[2]; ++w, ++place) {
        const T* const line = from + d * z.plane + h * z.row + w;
        for (std::int64_t p = 0; p < count; ++p) {
          const T v = line[p * step];
          const bool wins = (v > best[p]) | (v != v);
          best[p] = wins ? v : best[p];
          won[p] = wins ? place : won[p];
        }
      }
}

/// Planar: the same for `channels` planes. A window of one place only brings z to channels last.
template <class T>
void pool_planes(const NearRows<T>& z, const std::array<std::int64_t, 3>& window, std::int64_t rows, std::int64_t columns, std::int64_t channels, T slope,
                 const FarRows<T>& y) {
  const bool pools = window[0] * window[1] * window[2] > 1;
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t first = 0; first < columns; first += planar_block) {
        const std::int64_t count = std::min(planar_block, columns - first), to = r * y.row + first * y.pixel + c;
        const T* const from = z.at + c * z.channel + r * window[1] * z.row + first * window[2];
        if (!pools) {
          for (std::int64_t p = 0; p < count; ++p) y.at[to + p * y.pixel] = act_one(from[p], slope);
          continue;
        }
        T best[planar_block];
        MaskLane<T> won[planar_block];
        (window[2] == 2 ? pool_plane_row<T, 2> : window[2] == 1 ? pool_plane_row<T, 1> : pool_plane_row<T, 0>)(from, z, window, count, best, won);
        for (std::int64_t p = 0; p < count; ++p) y.at[to + p * y.pixel] = act_one(best[p], slope);
        if (y.index == nullptr) continue;
        for (std::int64_t p = 0; p < count; ++p) y.index[to + p * y.pixel] = static_cast<std::uint8_t>(won[p]);
      }
}

}  // namespace trireme::detail
