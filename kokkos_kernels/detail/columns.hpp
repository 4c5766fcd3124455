// Sums along the columns of a matrix with contiguous rows. A work item holds a tile: some rows of as many columns as fit in registers. See
// norm.hpp for the mathematics of moments.
#pragma once

#include "kokkos_kernels/detail/launch.hpp"

namespace trireme::detail {

/// Columns of a tile: neighboring threads of a device take neighboring columns.
inline constexpr std::int64_t lanes = on_host ? 16 : 1;

/// A matrix cut into tiles; their height depends on its shape alone.
struct Tiles {
  std::int64_t rows, columns, height, down, across;

  KOKKOS_FUNCTION Tiles(std::int64_t r, std::int64_t c) : rows(r), columns(c) {
    const std::int64_t fit = 8192 / columns;
    height = fit < 16 ? 16 : least(fit, 512);
    down = (rows + height - 1) / height;
    across = (columns + lanes - 1) / lanes;
  }
  KOKKOS_FUNCTION std::int64_t height_of(std::int64_t block) const { return least(height, rows - block * height); }
  KOKKOS_FUNCTION std::int64_t width_of(std::int64_t first) const { return least(lanes, columns - first); }
};

/// f(block of rows, first column) for every tile.
template <class F>
void for_tiles(const Execution& exec, const char* label, const Tiles& tiles, const F& f) {
  Kokkos::parallel_for(
      label, Range(exec, 0, tiles.down * tiles.across), KOKKOS_LAMBDA(std::int64_t i) { f(i / tiles.across, i % tiles.across * lanes); });
}

// Below, `width` is that of the tile when the compiler may know it, else 0.

/// Sums that go on side by side, one for each of so many neighboring rows: an addition need not wait for the one before.
template <std::int64_t width>
inline constexpr std::int64_t chains = on_host&& width > 0 ? 4 : 1;

/// f(chain, row) for all rows; rows of one chain in their order.
template <std::int64_t width, class F>
KOKKOS_INLINE_FUNCTION void for_chained_rows(std::int64_t rows, const F& f) {
  std::int64_t row = 0;
  for (; row + chains<width> <= rows; row += chains<width>)
    for (std::int64_t c = 0; c < chains<width>; ++c) f(c, row + c);
  for (; row < rows; ++row) f(std::int64_t{0}, row);
}

/// Sum of each column.
template <class T, std::int64_t width>
KOKKOS_INLINE_FUNCTION void column_sums(const T* x, std::int64_t rows, std::int64_t stride, std::int64_t used, double* out) {
  const std::int64_t n = width > 0 ? width : used;
  T sum[lanes];
  for (std::int64_t l = 0; l < n; ++l) sum[l] = T{};
  for (std::int64_t at = 0; at < rows * stride; at += stride)
    for (std::int64_t l = 0; l < n; ++l) sum[l] += x[at + l];
  for (std::int64_t l = 0; l < n; ++l) out[l] = static_cast<double>(sum[l]);
}

/// Mean and sum of squared deviations of each column.
template <class T, std::int64_t width>
KOKKOS_INLINE_FUNCTION void column_moments(const T* x, std::int64_t rows, std::int64_t stride, std::int64_t used, double* mean, double* squares) {
  const std::int64_t n = width > 0 ? width : used;
  T first[lanes], sum[chains<width>][lanes], square[chains<width>][lanes];
  for (std::int64_t l = 0; l < n; ++l) first[l] = x[l];
  for (std::int64_t c = 0; c < chains<width>; ++c)
    for (std::int64_t l = 0; l < n; ++l) sum[c][l] = square[c][l] = T{};
  for_chained_rows<width>(rows, [&](std::int64_t c, std::int64_t row) {
    const T* const line = x + row * stride;
    for (std::int64_t l = 0; l < n; ++l) {
      const T d = line[l] - first[l];
      sum[c][l] += d;
      square[c][l] += d * d;
    }
  });
  for (std::int64_t l = 0; l < n; ++l) {
    double s = 0, q = 0;
    for (std::int64_t c = 0; c < chains<width>; ++c) s += static_cast<double>(sum[c][l]), q += static_cast<double>(square[c][l]);
    q -= s * s / static_cast<double>(rows);
    mean[l] = static_cast<double>(first[l]) + s / static_cast<double>(rows);
    squares[l] = q > 0 ? q : q == q ? 0 : q;
  }
}

}  // namespace trireme::detail
