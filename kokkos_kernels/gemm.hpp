// C = op(A) op(B) (+ C): general matrix product, all matrices row-major.
//
// One selector decides: a vendor's library, which is oneDNN or a CBLAS where they were found and the kernels run on the host, and cuBLASLt on
// CUDA devices where it can be loaded; else the portable kernels. TRIREME_KERNELS=portable in the environment forces the latter.
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
  Operands operands = Operands::full;
  bool fixed_order = false;          // the same bits on any number of threads, which a vendor's library on the host does not promise by itself
};

/// Elements of workspace that gemm() needs for a product no larger than this one.
template <class T>
std::int64_t gemm_workspace(const Gemm<T>& shape);

/// Leading dimensions are those of the stored matrices without gaps. Small m, n or k (0 too) are legal.
template <class T>
void gemm(const Execution& exec, const Gemm<T>& shape, Span<const T> a, Span<const T> b, Span<T> c, Span<T> workspace);

/// Whether TRIREME_KERNELS asks for the portable kernels.
bool portable_kernels_forced();
/// What gemm<float> runs on: "oneDNN", "CBLAS", "cuBLASLt" or "portable".
std::string gemm_provider();

}  // namespace trireme
