// The matrix product of a device without a library: one thread an element of C. Right everywhere, fast nowhere.
#pragma once

#include "kokkos_kernels/detail/operands.hpp"
#include "kokkos_kernels/gemm.hpp"

namespace trireme::detail {

/// As gemm(), on operands as they lie in memory: T, or Bf16 where T is float.
template <class Operand, class T>
void gemm_elements(const Execution& exec, const Gemm<T>& s, const Operand* a, const Operand* b, T* c) {
  const std::int64_t m = s.m, n = s.n, k = s.k;
  const std::int64_t a_row = s.a == Transpose::no ? k : 1, a_step = s.a == Transpose::no ? 1 : m;
  const std::int64_t b_column = s.b == Transpose::no ? 1 : k, b_step = s.b == Transpose::no ? n : 1;
  const bool accumulate = s.accumulate;
  const int dropped = dropped_bits(s.operands);
  Kokkos::parallel_for(
      "trireme::gemm::element", Range(exec, 0, m * n), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t row = i / n, column = i % n;
        T sum = accumulate ? c[i] : T{};
        for (std::int64_t j = 0; j < k; ++j)
          sum += rounded(Stored<Operand>::value(a[row * a_row + j * a_step]), dropped) *
                 rounded(Stored<Operand>::value(b[column * b_column + j * b_step]), dropped);
        c[i] = sum;
      });
}

}  // namespace trireme::detail
