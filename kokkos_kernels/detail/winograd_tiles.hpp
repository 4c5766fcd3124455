// The transforms of F(2, 3) on tiles of registers. D: positions in the first dimension, 4, or 1 for plane convolutions. See winograd.hpp.
#pragma once

#include <algorithm>

#include "kokkos_kernels/detail/conv_tiles.hpp"

namespace trireme::detail {

/// B' d B of a plane of 4x4, position i at out[i * stride].
template <class T>
inline void winograd_input_plane(const Register<T> (&d)[4][4], T* out, std::int64_t stride) {
  Register<T> t[4][4];
  for (int r = 0; r < 4; ++r) {
    t[r][0] = d[r][0] - d[r][2];
    t[r][1] = d[r][1] + d[r][2];
    t[r][2] = d[r][2] - d[r][1];
    t[r][3] = d[r][1] - d[r][3];
  }
  for (int c = 0; c < 4; ++c) {
    store(out + c * stride, t[0][c] - t[2][c]);
    store(out + (4 + c) * stride, t[1][c] + t[2][c]);
    store(out + (8 + c) * stride, t[2][c] - t[1][c]);
    store(out + (12 + c) * stride, t[1][c] - t[3][c]);
  }
}

/// The source's tile of D x 4 x 4 pixels: rows[d * 4 + r] is its first pixel in plane d and row r.
template <class T, int D>
void winograd_input(const T* const* rows, std::int64_t pixel, std::int64_t channels, T* out, std::int64_t stride) {
  constexpr int width = Simd<T>::width;
  for (std::int64_t c = 0; c < channels; c += width) {
    Register<T> d[4][4];
    const auto at = [&](int plane, int r, int column) { return load(rows[plane * 4 + r] + column * pixel + c); };
    const auto plane = [&](int number, const auto& value) {
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r)
#pragma GCC unroll 4
        for (int column = 0; column < 4; ++column) d[r][column] = value(r, column);
      winograd_input_plane<T>(d, out + number * 16 * stride + c, stride);
    };
    if constexpr (D == 1) {
      plane(0, [&](int r, int column) { return at(0, r, column); });
    } else {
      plane(0, [&](int r, int column) { return at(0, r, column) - at(2, r, column); });
      plane(1, [&](int r, int column) { return at(1, r, column) + at(2, r, column); });
      plane(2, [&](int r, int column) { return at(2, r, column) - at(1, r, column); });
      plane(3, [&](int r, int column) { return at(1, r, column) - at(3, r, column); });
    }
  }
}

/// A d A' of a plane of 2x2.
template <class T>
inline void winograd_gradient_plane(const Register<T> (&d)[2][2], T* out, std::int64_t stride) {
  Register<T> t[2][4];
  for (int r = 0; r < 2; ++r) {
    t[r][0] = d[r][0];
    t[r][1] = d[r][0] + d[r][1];
    t[r][2] = d[r][0] - d[r][1];
    t[r][3] = -d[r][1];
  }
  for (int c = 0; c < 4; ++c) {
    store(out + c * stride, t[0][c]);
    store(out + (4 + c) * stride, t[0][c] + t[1][c]);
    store(out + (8 + c) * stride, t[0][c] - t[1][c]);
    store(out + (12 + c) * stride, -t[1][c]);
  }
}

/// The gradient's tile of (D / 2 or 1) x 2 x 2 pixels: rows[d * 2 + r] is its first pixel in plane d and row r.
template <class T, int D>
void winograd_gradient(const T* const* rows, std::int64_t pixel, std::int64_t channels, T* out, std::int64_t stride) {
  constexpr int width = Simd<T>::width;
  for (std::int64_t c = 0; c < channels; c += width) {
    const auto at = [&](int plane, int r, int column) { return load(rows[plane * 2 + r] + column * pixel + c); };
    const auto plane = [&](int number, const auto& value) {
      const Register<T> d[2][2] = {{value(0, 0), value(0, 1)}, {value(1, 0), value(1, 1)}};
      winograd_gradient_plane<T>(d, out + number * 16 * stride + c, stride);
    };
    plane(0, [&](int r, int column) { return at(0, r, column); });
    if constexpr (D == 4) {
      plane(1, [&](int r, int column) { return at(0, r, column) + at(1, r, column); });
      plane(2, [&](int r, int column) { return at(0, r, column) - at(1, r, column); });
      plane(3, [&](int r, int column) { return -at(1, r, column); });
    }
  }
}

/// One register of channels of a tile's results: [plane][row][column].
template <class T, int D>
struct WinogradResults {
  using Value = Register<T>;
  Value z[D == 4 ? 2 : 1][2][2];
};

/// A' m A of one register of channels.
template <class T, int D>
inline void winograd_output(const T* m, std::int64_t stride, WinogradResults<T, D>& results) {
  const auto plane = [&](int number, const auto& value) {
    Register<T> t[4][2];
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const Register<T> m0 = value(r * 4), m1 = value(r * 4 + 1), m2 = value(r * 4 + 2), m3 = value(r * 4 + 3);
      t[r][0] = m0 + m1 + m2;
      t[r][1] = m1 - m2 - m3;
    }
    for (int c = 0; c < 2; ++c) {
      results.z[number][0][c] = t[0][c] + t[1][c] + t[2][c];
      results.z[number][1][c] = t[1][c] - t[2][c] - t[3][c];
    }
  };
  const auto at = [&](int number, int i) { return load(m + (number * 16 + i) * stride); };
  if constexpr (D == 1) {
    plane(0, [&](int i) { return at(0, i); });
  } else {
    plane(0, [&](int i) { return at(0, i) + at(1, i) + at(2, i); });
    plane(1, [&](int i) { return at(1, i) - at(2, i) - at(3, i); });
  }
}

/// G w: three taps to four positions, `inner` arrays of registers apart; taps and positions lie `inner * width` numbers apart.
template <class T>
inline void winograd_kernel(const T* taps, std::int64_t outer, std::int64_t inner, std::int64_t lanes, T* positions) {
  const T half = T{1} / 2;
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t i = 0; i < inner * lanes; ++i) {
      const T a = taps[(o * 3 + 0) * inner * lanes + i], b = taps[(o * 3 + 1) * inner * lanes + i], c = taps[(o * 3 + 2) * inner * lanes + i];
      T* const to = positions + o * 4 * inner * lanes + i;
      to[0] = a;
      to[inner * lanes] = half * (a + b + c);
      to[2 * inner * lanes] = half * (a - b + c);
      to[3 * inner * lanes] = c;
    }
}

/// G' u: four positions to three taps.
template <class T>
inline void winograd_kernel_gradient(const T* positions, std::int64_t outer, std::int64_t inner, std::int64_t lanes, T* taps) {
  const T half = T{1} / 2;
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t i = 0; i < inner * lanes; ++i) {
      const T* const from = positions + o * 4 * inner * lanes + i;
      const T sum = half * (from[inner * lanes] + from[2 * inner * lanes]), difference = half * (from[inner * lanes] - from[2 * inner * lanes]);
      T* const to = taps + o * 3 * inner * lanes + i;
      to[0] = from[0] + sum;
      to[inner * lanes] = difference;
      to[2 * inner * lanes] = sum + from[3 * inner * lanes];
    }
}

}  // namespace trireme::detail
