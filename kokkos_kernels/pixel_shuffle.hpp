// Pixel shuffle in one to three dimensions over channels-last activations, as PyTorch's PixelShuffle (Shi et al. 2016): channels become pixels. In two
// dimensions: y[c, h r + i, w r + j] = x[(c r + i) r + j, h, w].
#pragma once

#include <array>

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// Input and output may be boxes of a sample. The input box contains all positions that the output box reads.
struct PixelShuffleGeometry {
  std::int64_t channels = 1;  // of the output; the input has channels * taps()
  std::array<std::int64_t, 3> factor{1, 1, 1};
  std::array<std::int64_t, 3> in{1, 1, 1}, in_first{0, 0, 0};    // box of the input
  std::array<std::int64_t, 3> out{1, 1, 1}, out_first{0, 0, 0};  // box of the output
  KOKKOS_FUNCTION std::int64_t taps() const { return factor[0] * factor[1] * factor[2]; }
  KOKKOS_FUNCTION std::int64_t in_pixels() const { return in[0] * in[1] * in[2]; }
  KOKKOS_FUNCTION std::int64_t out_pixels() const { return out[0] * out[1] * out[2]; }
};

template <class T>
void pixel_shuffle_forward(const Execution& exec, const PixelShuffleGeometry& geometry, std::int64_t n, Span<const T> x, Span<T> y);
template <class T>
void pixel_shuffle_backward(const Execution& exec, const PixelShuffleGeometry& geometry, std::int64_t n, Span<const T> dy, Span<T> dx);

}  // namespace trireme
