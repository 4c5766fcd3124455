// Which taps a convolution walks, for each set of destination pixels that walk the same ones.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kokkos_kernels/conv.hpp"

namespace trireme::detail {

/// One phase of a tap kernel: destination pixels first + step*j (j < count, per dimension) read the source at j*pace + tap offset.
/// The taps are the product of three lists; along each the offsets rise.
struct TapPhase {
  std::array<std::int64_t, 3> first, step, count;
  std::array<std::vector<std::int64_t>, 3> offsets;  // source pixel offset of each tap, per dimension
  std::vector<std::int64_t> taps;                    // index of each tap within the kernel, last dimension fastest
  std::array<std::int64_t, 3> low, high;             // smallest and largest offset
};

/// Taps of the forward pass: one phase, source x, destination z.
TapPhase forward_taps(const ConvGeometry& geometry);

/// Taps of the backward-data pass: source dz, destination dx. dx[i] gathers dz[o] for i = o*stride - padding + k*dilation; for i of one
/// residue modulo the stride the same taps k contribute, at offsets that do not depend on i: one phase for each residue. A phase
/// without taps writes zeros.
std::vector<TapPhase> backward_taps(const ConvGeometry& geometry);

}  // namespace trireme::detail
