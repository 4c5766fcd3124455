// ComputeType of contractions in the formats of tensor cores. See ComputeType.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme::detail {

/// Bits of a float's fraction that the format lacks.
constexpr int dropped_bits(ComputeType operands) { return operands == ComputeType::tf32 ? 13 : operands == ComputeType::bf16 ? 16 : 0; }

/// The value without the last `dropped` bits of its fraction: to nearest, ties to even; infinities and NaN stay.
KOKKOS_INLINE_FUNCTION float rounded(float value, int dropped) {
  auto bits = Kokkos::bit_cast<std::uint32_t>(value);
  if (dropped == 0 || (bits & 0x7f800000u) == 0x7f800000u) return value;
  bits += (1u << (dropped - 1)) - 1u + (bits >> dropped & 1u);
  return Kokkos::bit_cast<float>(bits >> dropped << dropped);
}
KOKKOS_INLINE_FUNCTION double rounded(double value, int) { return value; }

/// to = from, rounded; `to` tells how many.
template <class T>
void round_operands(const Execution& exec, ComputeType operands, Span<const T> from, Span<T> to) {
  const int dropped = dropped_bits(operands);
  Kokkos::parallel_for(
      "trireme::operands::round", Range(exec, 0, static_cast<std::int64_t>(to.size())), KOKKOS_LAMBDA(std::int64_t i) { to(i) = rounded(from(i), dropped); });
}

/// bfloat16 as it lies in memory: the upper half of a float.
struct Bf16 {
  std::uint16_t bits;
};

/// What an operand becomes in memory: a number of the same type, or a bf16.
template <class Operand>
struct Stored {
  KOKKOS_FUNCTION static Operand from(Operand value) { return value; }
  KOKKOS_FUNCTION static Operand value(Operand operand) { return operand; }
};
template <>
struct Stored<Bf16> {
  KOKKOS_FUNCTION static Bf16 from(float value) {
    const auto bits = Kokkos::bit_cast<std::uint32_t>(rounded(value, 16));
    // A NaN whose upper half alone would be an infinity stays one.
    return {static_cast<std::uint16_t>(value == value ? bits >> 16 : bits >> 16 | 0x40u)};
  }
  KOKKOS_FUNCTION static float value(Bf16 operand) { return Kokkos::bit_cast<float>(static_cast<std::uint32_t>(operand.bits) << 16); }
};

/// to = from as operands lie in memory.
template <class T, class Operand>
void store_operands(const Execution& exec, std::int64_t count, const T* from, Operand* to) {
  Kokkos::parallel_for(
      "trireme::operands::store", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) { to[i] = Stored<Operand>::from(from[i]); });
}

}  // namespace trireme::detail
