// Adaptive average pooling in one to three dimensions over channels-last activations, as PyTorch's AdaptiveAvgPool: along a dimension, output position o of m
// is the mean of the input positions floor(o n / m) to ceil((o + 1) n / m) - 1.
#pragma once

#include <array>

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// Input and output may be boxes of a sample. The input box contains all positions that the output box reads.
struct AdaptivePoolGeometry {
  std::int64_t channels = 1;
  std::array<std::int64_t, 3> whole_in{1, 1, 1}, whole_out{1, 1, 1};  // extents of the whole sample
  std::array<std::int64_t, 3> in{1, 1, 1}, in_first{0, 0, 0};         // box of the input
  std::array<std::int64_t, 3> out{1, 1, 1}, out_first{0, 0, 0};       // box of the output
  KOKKOS_FUNCTION std::int64_t in_pixels() const { return in[0] * in[1] * in[2]; }
  KOKKOS_FUNCTION std::int64_t out_pixels() const { return out[0] * out[1] * out[2]; }
};

/// [low, high)
struct AdaptiveWindow {
  std::int64_t low, high;
};
/// Positions of an extent of n that belong to position o of an extent of m. The inverse, positions of m whose window contains i of n, is
/// adaptive_window(i, m, n).
KOKKOS_INLINE_FUNCTION AdaptiveWindow adaptive_window(std::int64_t o, std::int64_t n, std::int64_t m) { return {o * n / m, ((o + 1) * n + m - 1) / m}; }

template <class T>
void adaptive_avg_pool_forward(const Execution& exec, const AdaptivePoolGeometry& geometry, std::int64_t n, Span<const T> x, Span<T> y);
template <class T>
void adaptive_avg_pool_backward(const Execution& exec, const AdaptivePoolGeometry& geometry, std::int64_t n, Span<const T> dy, Span<T> dx);

}  // namespace trireme
