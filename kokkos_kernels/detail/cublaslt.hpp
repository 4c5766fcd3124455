// Matrix products by cuBLASLt, which is loaded when it is first asked for: a program that was built with its headers also runs where it is missing.
#pragma once

#include <cstddef>

#include "kokkos_kernels/gemm.hpp"

namespace trireme::detail {

/// Whether this build knows the library and it could be loaded.
bool has_cublaslt();

/// As gemm(), on operands as they lie in memory: T, or Bf16 where T is float; m, n > 0. False where the library is missing or does not serve the
/// shape: nothing was launched then. What it chose for a shape is kept. Errors: internal, with the call's name. From one thread at a time.
template <class Operand, class T>
bool cublaslt_product(const Execution& exec, const Gemm<T>& shape, const Operand* a, const Operand* b, T* c, void* workspace, std::size_t bytes);

}  // namespace trireme::detail
