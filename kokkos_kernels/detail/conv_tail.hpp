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
  std::int64_t pixel = 0, row = 0, plane = 0, channel = 1;  // elements between neighbours
};

/// Where y's first row goes, and between neighbours there.
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
  using Mask = decltype(Register<T>{} < Register<T>{});
  using Bytes __attribute__((vector_size(width))) = std::uint8_t;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t p = 0; p < columns; ++p)
      for (std::int64_t first = 0; first < used; first += width) {
        const T* const from = z.at + r * window[1] * z.row + p * window[2] * z.pixel + first;
        Register<T> best = load(from);
        Mask won{};
        std::int64_t place = 0;
        for (std::int64_t d = 0; d < window[0]; ++d)
          for (std::int64_t h = 0; h < window[1]; ++h)
            for (std::int64_t w = 0; w < window[2]; ++w, ++place) {
              const Register<T> v = load(from + d * z.plane + h * z.row + w * z.pixel);
              const Mask wins = (v > best) | (v != v);  // NaN wins, as in PyTorch; the first of equals stays
              best = wins ? v : best;
              won = wins ? Mask{} + static_cast<decltype(won[0] + won[0])>(place) : won;
            }
        const Register<T> result[1] = {act(best, slope)};
        const std::int64_t lanes = std::min<std::int64_t>(width, used - first), to = r * y.row + p * y.pixel + first;
        store_lanes<T, 1>(result, lanes, y.at + to);
        if (y.index == nullptr) continue;
        const Bytes places = __builtin_convertvector(won, Bytes);
        std::memcpy(y.index + to, &places, static_cast<std::size_t>(lanes));
      }
}

/// Planar: the same for `channels` planes. A window of one place only brings z to channels last.
template <class T>
void pool_planes(const NearRows<T>& z, const std::array<std::int64_t, 3>& window, std::int64_t rows, std::int64_t columns, std::int64_t channels, T slope,
                 const FarRows<T>& y) {
  constexpr std::int64_t block = 32;
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t first = 0; first < columns; first += block) {
        const std::int64_t count = std::min(block, columns - first);
        T best[block];
        std::int32_t won[block] = {};
        const T* const from = z.at + c * z.channel + r * window[1] * z.row + first * window[2];
        for (std::int64_t p = 0; p < count; ++p) best[p] = from[p * window[2]];
        std::int32_t place = 0;
        for (std::int64_t d = 0; d < window[0]; ++d)
          for (std::int64_t h = 0; h < window[1]; ++h)
            for (std::int64_t w = 0; w < window[2]; ++w, ++place) {
              const T* const line = from + d * z.plane + h * z.row + w;
              for (std::int64_t p = 0; p < count; ++p) {
                const T v = line[p * window[2]];
                const bool wins = v > best[p] || v != v;
                best[p] = wins ? v : best[p];
                won[p] = wins ? place : won[p];
              }
            }
        const std::int64_t to = r * y.row + first * y.pixel + c;
        for (std::int64_t p = 0; p < count; ++p) y.at[to + p * y.pixel] = act_one(best[p], slope);
        if (y.index == nullptr) continue;
        for (std::int64_t p = 0; p < count; ++p) y.index[to + p * y.pixel] = static_cast<std::uint8_t>(won[p]);
      }
}

}  // namespace trireme::detail
