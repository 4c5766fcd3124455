// Max and average pooling in one to three dimensions over channels-last activations; PyTorch's MaxPool and AvgPool.
#pragma once

#include <array>

#include "kokkos_kernels/types.hpp"

namespace trireme {

struct PoolGeometry {
  std::int64_t channels = 1;
  std::array<std::int64_t, 3> in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, padding{0, 0, 0};
  std::array<std::int64_t, 3> behind{0, 0, 0};  // padding behind the input; larger than the deck's padding if the input is a part that ends before its sample
  KOKKOS_FUNCTION std::int64_t in_pixels() const { return in[0] * in[1] * in[2]; }
  KOKKOS_FUNCTION std::int64_t out_pixels() const { return out[0] * out[1] * out[2]; }
  KOKKOS_FUNCTION std::int64_t window() const { return kernel[0] * kernel[1] * kernel[2]; }
};

/// Bytes per saved index, the position of the maximum in its window: one byte up to 256 positions, else two.
std::int64_t max_pool_index_bytes(const PoolGeometry& geometry);

/// y = max over the window (padding never wins; NaN does, as in PyTorch); `index` (n * out_pixels * channels entries) may be empty if no backward
/// pass follows. The first of equal values wins.
template <class T>
void max_pool_forward(const Execution& exec, const PoolGeometry& geometry, std::int64_t n, Span<const T> x, Span<T> y, Span<std::uint8_t> index);
template <class T>
void max_pool_backward(const Execution& exec, const PoolGeometry& geometry, std::int64_t n, Span<const T> dy, Span<const std::uint8_t> index, Span<T> dx);

/// y = sum over the window / number of positions. With `count_padding` (PyTorch's default) positions in the padding count.
template <class T>
void avg_pool_forward(const Execution& exec, const PoolGeometry& geometry, std::int64_t n, Span<const T> x, Span<T> y, bool count_padding);
template <class T>
void avg_pool_backward(const Execution& exec, const PoolGeometry& geometry, std::int64_t n, Span<const T> dy, Span<T> dx, bool count_padding);

}  // namespace trireme
