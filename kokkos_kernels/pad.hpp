// Padding in one to three dimensions over channels-last activations, as PyTorch's functional.pad, with a mode for each dimension:
//
//   output position o reads input position i = o - before; for i outside [0, n):
//   zeros 0      reflect -i or 2 (n - 1) - i      replicate 0 or n - 1      circular i + n or i - n
#pragma once

#include <array>

#include "kokkos_kernels/types.hpp"

namespace trireme {

enum class PadMode { zeros, reflect, replicate, circular };

/// Input and output may be boxes of a sample. The input box contains all positions that the output box reads. Along a circular dimension it may begin before 0
/// and end after n: then it holds the pixels from the other end of the sample at these positions.
struct PadGeometry {
  std::int64_t channels = 1;
  std::array<PadMode, 3> mode{PadMode::zeros, PadMode::zeros, PadMode::zeros};
  std::array<std::int64_t, 3> whole{1, 1, 1}, before{0, 0, 0}, after{0, 0, 0};  // extents of the whole input; pixels added to each side
  std::array<std::int64_t, 3> in{1, 1, 1}, in_first{0, 0, 0};                   // box of the input
  std::array<std::int64_t, 3> out{1, 1, 1}, out_first{0, 0, 0};                 // box of the output
  KOKKOS_FUNCTION std::int64_t in_pixels() const { return in[0] * in[1] * in[2]; }
  KOKKOS_FUNCTION std::int64_t out_pixels() const { return out[0] * out[1] * out[2]; }
};

template <class T>
void pad_forward(const Execution& exec, const PadGeometry& geometry, std::int64_t n, Span<const T> x, Span<T> y);
/// dx = sum of dy over the output positions that read the pixel, in the order of the positions.
template <class T>
void pad_backward(const Execution& exec, const PadGeometry& geometry, std::int64_t n, Span<const T> dy, Span<T> dx);

}  // namespace trireme
