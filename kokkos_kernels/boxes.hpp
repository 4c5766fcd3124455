// Copies and adds boxes of pixels between channels-last arrays (n, D, H, W, C) of any extents.
#pragma once

#include <array>

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// A box of `extent` pixels in each of n samples. It begins at from_first in arrays with `from` pixels, and at to_first in arrays with `to` pixels.
struct BoxCopy {
  std::int64_t channels = 1;
  std::array<std::int64_t, 3> extent{1, 1, 1};
  std::array<std::int64_t, 3> from{1, 1, 1}, from_first{0, 0, 0};
  std::array<std::int64_t, 3> to{1, 1, 1}, to_first{0, 0, 0};

  KOKKOS_FUNCTION std::int64_t elements() const { return extent[0] * extent[1] * extent[2] * channels; }
};

/// to = from within the box.
template <class T>
void copy_box(const Execution& exec, std::int64_t n, const BoxCopy& box, Span<const T> from, Span<T> to);
/// to += from within the box.
template <class T>
void add_box(const Execution& exec, std::int64_t n, const BoxCopy& box, Span<const T> from, Span<T> to);

}  // namespace trireme
