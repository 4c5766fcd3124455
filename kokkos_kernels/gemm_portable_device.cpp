// The portable matrix product of a device: one thread per element of C.
#include "kokkos_kernels/detail/gemm_elements.hpp"
#include "kokkos_kernels/detail/gemm_portable.hpp"

namespace trireme::detail {

template <class T>
std::int64_t gemm_portable_workspace(const Gemm<T>&) {
  return 0;
}

template <class T>
void gemm_portable(const Execution& exec, const Gemm<T>& shape, Span<const T> a, Span<const T> b, Span<T> c, Span<T>) {
  gemm_elements<T, T>(exec, shape, a.data(), b.data(), c.data());
}

template std::int64_t gemm_portable_workspace(const Gemm<float>&);
template std::int64_t gemm_portable_workspace(const Gemm<double>&);
template void gemm_portable(const Execution&, const Gemm<float>&, Span<const float>, Span<const float>, Span<float>, Span<float>);
template void gemm_portable(const Execution&, const Gemm<double>&, Span<const double>, Span<const double>, Span<double>, Span<double>);

}  // namespace trireme::detail
