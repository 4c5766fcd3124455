// The portable matrix product of a device: one thread an element of C. Right everywhere, fast nowhere.
#include "kokkos_kernels/detail/gemm_portable.hpp"

namespace trireme::detail {

template <class T>
std::int64_t gemm_portable_workspace(const Gemm<T>&) {
  return 0;
}

template <class T>
void gemm_portable(const Execution& exec, const Gemm<T>& s, Span<const T> a, Span<const T> b, Span<T> c, Span<T>) {
  const std::int64_t m = s.m, n = s.n, k = s.k;
  const std::int64_t a_row = s.a == Transpose::no ? k : 1, a_step = s.a == Transpose::no ? 1 : m;
  const std::int64_t b_column = s.b == Transpose::no ? 1 : k, b_step = s.b == Transpose::no ? n : 1;
  const bool accumulate = s.accumulate;
  Kokkos::parallel_for("trireme::gemm::element", Range(exec, 0, m * n), KOKKOS_LAMBDA(std::int64_t i) {
    const std::int64_t row = i / n, column = i % n;
    T sum = accumulate ? c(i) : T{};
    for (std::int64_t j = 0; j < k; ++j) sum += a(row * a_row + j * a_step) * b(column * b_column + j * b_step);
    c(i) = sum;
  });
}

template std::int64_t gemm_portable_workspace(const Gemm<float>&);
template std::int64_t gemm_portable_workspace(const Gemm<double>&);
template void gemm_portable(const Execution&, const Gemm<float>&, Span<const float>, Span<const float>, Span<float>, Span<float>);
template void gemm_portable(const Execution&, const Gemm<double>&, Span<const double>, Span<const double>, Span<double>, Span<double>);

}  // namespace trireme::detail
