// Enlarging in one to three dimensions by whole factors, as PyTorch's Upsample with align_corners = false: output place o lies at input place
// (o + 1/2) / scale - 1/2. nearest takes floor(o / scale); linear the two neighbours by their distance, at the edge the last place alone.
#pragma once

#include <array>

#include "kokkos_kernels/types.hpp"

namespace trireme {

struct UpsampleGeometry {
  std::int64_t channels = 1;
  std::array<std::int64_t, 3> in{1, 1, 1}, scale{1, 1, 1};
  bool linear = false;
  KOKKOS_FUNCTION std::int64_t out(std::size_t a) const { return in[a] * scale[a]; }
  KOKKOS_FUNCTION std::int64_t in_pixels() const { return in[0] * in[1] * in[2]; }
  KOKKOS_FUNCTION std::int64_t out_pixels() const { return out(0) * out(1) * out(2); }
};

template <class T>
void upsample_forward(const Execution& exec, const UpsampleGeometry& geometry, std::int64_t n, Span<const T> x, Span<T> y);
template <class T>
void upsample_backward(const Execution& exec, const UpsampleGeometry& geometry, std::int64_t n, Span<const T> dy, Span<T> dx);

}  // namespace trireme
