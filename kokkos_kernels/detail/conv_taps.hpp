// Tap lists of a convolution and of its backward-data pass.
#pragma once

#include "kokkos_kernels/conv.hpp"

namespace trireme::detail {

/// Taps of the forward pass: one phase, source x, destination y.
TapPhase forward_taps(const ConvGeometry& geometry);

/// Taps of the backward-data pass: source dy, destination dx. dx[i] gathers dy[o] for i = o*stride - padding + k*dilation; for i of one
/// residue modulo the stride the same taps k contribute, at offsets that do not depend on i: one phase for each residue. A phase
/// without taps writes zeros.
std::vector<TapPhase> backward_taps(const ConvGeometry& geometry);

}  // namespace trireme::detail
