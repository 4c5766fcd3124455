// Matrix products of a device: operands rounded to bf16 are stored first, then cuBLASLt multiplies, or one thread per element of C.
#include "kokkos_kernels/detail/gemm_device.hpp"

#include <type_traits>

#include "kokkos_kernels/detail/cublaslt.hpp"
#include "kokkos_kernels/detail/gemm_elements.hpp"

namespace trireme {

namespace detail {

template <class Operand, class T>
void gemm_device(const Execution& exec, const Gemm<T>& shape, const Operand* a, const Operand* b, T* c, Scratch scratch) {
  if (shape.m * shape.n == 0) return;
  const std::int64_t bytes = library_scratch(shape);
  if (!portable_kernels_forced() && cublaslt_product(exec, shape, a, b, c, scratch.take<std::byte>(bytes), static_cast<std::size_t>(bytes))) return;
  gemm_elements(exec, shape, a, b, c);
}

template void gemm_device(const Execution&, const Gemm<float>&, const float*, const float*, float*, Scratch);
template void gemm_device(const Execution&, const Gemm<float>&, const Bf16*, const Bf16*, float*, Scratch);
template void gemm_device(const Execution&, const Gemm<double>&, const double*, const double*, double*, Scratch);

}  // namespace detail

using namespace detail;

std::string gemm_provider() { return !portable_kernels_forced() && has_cublaslt() ? "cuBLASLt" : "portable"; }

template <class T>
std::int64_t gemm_workspace(const Gemm<T>& s) {
  Scratch scratch;
  if (s.operands == ComputeType::bf16) scratch.take<Bf16>(s.m * s.k), scratch.take<Bf16>(s.k * s.n);
  scratch.take<std::byte>(library_scratch(s));
  return scratch.elements<T>();
}

template <class T>
void gemm(const Execution& exec, const Gemm<T>& s, Span<const T> a, Span<const T> b, Span<T> c, Span<T> workspace) {
  Scratch scratch(workspace);
  if constexpr (std::is_same_v<T, float>)
    if (s.operands == ComputeType::bf16) {
      Bf16 *const stored_a = scratch.take<Bf16>(s.m * s.k), *const stored_b = scratch.take<Bf16>(s.k * s.n);
      store_operands(exec, s.m * s.k, a.data(), stored_a);
      store_operands(exec, s.k * s.n, b.data(), stored_b);
      return gemm_device<Bf16, float>(exec, s, stored_a, stored_b, c.data(), scratch);
    }
  gemm_device<T, T>(exec, s, a.data(), b.data(), c.data(), scratch);
}

template std::int64_t gemm_workspace(const Gemm<float>&);
template std::int64_t gemm_workspace(const Gemm<double>&);
template void gemm(const Execution&, const Gemm<float>&, Span<const float>, Span<const float>, Span<float>, Span<float>);
template void gemm(const Execution&, const Gemm<double>&, Span<const double>, Span<const double>, Span<double>, Span<double>);

}  // namespace trireme
