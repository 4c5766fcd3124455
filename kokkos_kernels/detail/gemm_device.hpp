// The matrix product of a device: cuBLASLt where it is there, else one thread an element.
#pragma once

#include <algorithm>

#include "kokkos_kernels/detail/operands.hpp"
#include "kokkos_kernels/detail/scratch.hpp"
#include "kokkos_kernels/gemm.hpp"

namespace trireme::detail {

/// Bytes of scratch that a library may use for this product or a smaller one.
template <class T>
std::int64_t library_scratch(const Gemm<T>& shape) {
  constexpr std::int64_t most = 32 << 20, least = 64 << 10;
  return std::min(most, least + 64 * shape.m * shape.n * static_cast<std::int64_t>(sizeof(T)));
}

/// As gemm(), on operands as they lie in memory: T, or Bf16 where T is float. Takes library_scratch(shape) bytes of `scratch`.
template <class Operand, class T>
void gemm_device(const Execution& exec, const Gemm<T>& shape, const Operand* a, const Operand* b, T* c, Scratch scratch);

}  // namespace trireme::detail
