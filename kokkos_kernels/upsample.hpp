// Upsampling by integer factors in one to three dimensions, as PyTorch's Upsample with align_corners = false: output position o is at input position
// (o + 1/2) / scale - 1/2. nearest uses floor(o / scale); linear interpolates between the two neighbors; at the edge it uses the last position
// alone.
#pragma once

#include <array>

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// Input and output may be boxes of a sample: the input box must contain all positions that the output box reads.
struct UpsampleGeometry {
  std::int64_t channels = 1;
  std::array<std::int64_t, 3> whole{1, 1, 1}, scale{1, 1, 1};    // extents of the whole input
  std::array<std::int64_t, 3> in{1, 1, 1}, in_first{0, 0, 0};    // box of the input
  std::array<std::int64_t, 3> out{1, 1, 1}, out_first{0, 0, 0};  // box of the output
  bool linear = false;
  KOKKOS_FUNCTION std::int64_t in_pixels() const { return in[0] * in[1] * in[2]; }
  KOKKOS_FUNCTION std::int64_t out_pixels() const { return out[0] * out[1] * out[2]; }
};

/// The input positions [low, high) that output position o reads in a dimension of extent `in`.
struct UpsampleReach {
  std::int64_t low, high;
};
UpsampleReach upsample_reach(std::int64_t o, std::int64_t in, std::int64_t scale, bool linear);

template <class T>
void upsample_forward(const Execution& exec, const UpsampleGeometry& geometry, std::int64_t n, Span<const T> x, Span<T> y);
template <class T>
void upsample_backward(const Execution& exec, const UpsampleGeometry& geometry, std::int64_t n, Span<const T> dy, Span<T> dx);

}  // namespace trireme
