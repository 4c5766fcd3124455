// The targets of a batch, for losses and metrics.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// Targets on the device; the member that the loss does not use is empty.
template <class T>
struct Targets {
  Span<const std::int32_t> classes;  // (n); -1: ignored
  Span<const T> values;              // (n, ..., channels), channels-last, with the pixels of the output; of class maps: one class number per pixel
};

}  // namespace trireme
