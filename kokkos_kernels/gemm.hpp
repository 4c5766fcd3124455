// C = op(A) op(B) (+ C): general matrix product; all matrices are row-major.
//
// The implementation is a vendor library if available: oneDNN or a CBLAS for kernels on the host, cuBLASLt on CUDA devices; otherwise the portable
// kernels. TRIREME_KERNELS=portable in the environment selects the portable kernels.
#pragma once

#include <cstdint>
#include <string>

#include "kokkos_kernels/types.hpp"

namespace trireme {

enum class Transpose { no, yes };

template <class T>
struct Gemm {
  Transpose a = Transpose::no, b = Transpose::no;
  std::int64_t m = 0, n = 0, k = 0;  // C is m x n, op(A) is m x k, op(B) is k x n
  bool accumulate = false;           // C += instead of C =
  ComputeType operands = ComputeType::full;
  bool fixed_order = false;  // the same bits on any number of threads, which vendor libraries on the host do not guarantee by default
};

/// Elements of workspace that gemm() needs for a product of at most this size.
template <class T>
std::int64_t gemm_workspace(const Gemm<T>& shape);

/// Leading dimensions are those of the stored matrices without gaps. Small m, n or k (also 0) are valid.
template <class T>
void gemm(const Execution& exec, const Gemm<T>& shape, Span<const T> a, Span<const T> b, Span<T> c, Span<T> workspace);

/// Whether TRIREME_KERNELS selects the portable kernels.
bool portable_kernels_forced();
/// Implementation of gemm<float>: "oneDNN", "CBLAS", "cuBLASLt" or "portable".
std::string gemm_provider();

}  // namespace trireme
