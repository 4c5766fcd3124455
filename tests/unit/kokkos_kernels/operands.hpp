// ComputeType in the formats of tensor cores, by their definition.
#pragma once

#include <cmath>

#include "kokkos_kernels/types.hpp"
#include "support/arrays.hpp"

namespace trireme::test {

/// The nearest number with 10 (tf32) or 7 (bf16) bits behind the point, ties to even. (Numbers far from the limits of the exponent.)
template <class T>
T as_operand(T value, ComputeType operands) {
  if (sizeof(T) > 4 || operands == ComputeType::full || value == 0) return value;
  const int bits = operands == ComputeType::tf32 ? 10 : 7, exponent = std::ilogb(value);
  return std::ldexp(std::nearbyint(std::ldexp(value, bits - exponent)), exponent - bits);
}

/// How far a product may be from that of such operands: CUDA's libraries round to tf32 in a way of their own.
template <class T>
double product_rounding(ComputeType operands) {
  return !on_host && sizeof(T) == 4 && operands == ComputeType::tf32 ? 4e-3 : rounding<T>;
}

}  // namespace trireme::test
