// The elementwise product of several activations, broadcast as in PyTorch: an operand has the extent of the result or extent 1 along each dimension, channels
// included.
#pragma once

#include <array>

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// An operand's array and the place of the result's box in it.
struct MultiplyOperand {
  std::int64_t channels = 1;  // of the result, or 1
  std::array<std::int64_t, 3> extent{1, 1, 1};
  std::array<std::int64_t, 3> first{0, 0, 0};          // position of the result's first pixel in the array; 0 along broadcast dimensions
  std::array<bool, 3> broadcast{false, false, false};  // the array has extent 1, and the sample of the result more
  KOKKOS_FUNCTION std::int64_t size() const { return channels * extent[0] * extent[1] * extent[2]; }
};

struct MultiplyGeometry {
  static constexpr int most = 8;  // operands
  int count = 0;
  std::int64_t channels = 1;                 // of the result
  std::array<std::int64_t, 3> out{1, 1, 1};  // the box of the result
  std::array<MultiplyOperand, most> operand{};
  KOKKOS_FUNCTION std::int64_t out_pixels() const { return out[0] * out[1] * out[2]; }
};

template <class T>
using MultiplyInputs = std::array<Span<const T>, MultiplyGeometry::most>;

/// y = product of the operands, from left to right.
template <class T>
void multiply_forward(const Execution& exec, const MultiplyGeometry& geometry, std::int64_t n, const MultiplyInputs<T>& x, Span<T> y);
/// The gradient of operand `which`: dx = sum of dy times the other operands, over the pixels and channels along which the operand is broadcast, in double and
/// in the order of memory. It is 0 outside the result's box.
template <class T>
void multiply_backward(const Execution& exec, const MultiplyGeometry& geometry, std::int64_t n, const MultiplyInputs<T>& x, Span<const T> dy, int which,
                       Span<T> dx);

}  // namespace trireme
