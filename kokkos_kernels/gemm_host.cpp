#include <type_traits>

#include "kokkos_kernels/detail/gemm_portable.hpp"
#include "kokkos_kernels/detail/operands.hpp"

#if defined(TRIREME_HAVE_ONEDNN)
#include <dnnl.h>
#endif
#if defined(TRIREME_HAVE_CBLAS)
#include <cblas.h>
#endif

namespace trireme {

std::string gemm_provider() {
  if (portable_kernels_forced()) return "portable";
#if defined(TRIREME_HAVE_ONEDNN)
  return "oneDNN";
#elif defined(TRIREME_HAVE_CBLAS)
  return "CBLAS";
#else
  return "portable";
#endif
}

namespace {

// Returns false where no vendor library serves this type.
template <class T>
bool gemm_vendor([[maybe_unused]] const Gemm<T>& s, [[maybe_unused]] const T* a, [[maybe_unused]] const T* b, [[maybe_unused]] T* c) {
  if (portable_kernels_forced() || s.m * s.n * s.k == 0) return false;
  [[maybe_unused]] const std::int64_t lda = s.a == Transpose::no ? s.k : s.m, ldb = s.b == Transpose::no ? s.n : s.k;
#if defined(TRIREME_HAVE_ONEDNN)
  if constexpr (std::is_same_v<T, float>)
    return dnnl_sgemm(s.a == Transpose::no ? 'N' : 'T', s.b == Transpose::no ? 'N' : 'T', s.m, s.n, s.k, 1.0f, a, lda, b, ldb,
                      s.accumulate ? 1.0f : 0.0f, c, s.n) == dnnl_success;
#endif
#if defined(TRIREME_HAVE_CBLAS)
  const auto ta = s.a == Transpose::no ? CblasNoTrans : CblasTrans, tb = s.b == Transpose::no ? CblasNoTrans : CblasTrans;
  const auto i = [](std::int64_t value) { return static_cast<int>(value); };
  const T beta = s.accumulate ? T{1} : T{0};
  if constexpr (std::is_same_v<T, float>)
    cblas_sgemm(CblasRowMajor, ta, tb, i(s.m), i(s.n), i(s.k), T{1}, a, i(lda), b, i(ldb), beta, c, i(s.n));
  else
    cblas_dgemm(CblasRowMajor, ta, tb, i(s.m), i(s.n), i(s.k), T{1}, a, i(lda), b, i(ldb), beta, c, i(s.n));
  return true;
#else
  return false;
#endif
}

template <class T>
bool rounds(const Gemm<T>& shape) {
  return std::is_same_v<T, float> && shape.operands != Operands::full;
}

}  // namespace

template <class T>
std::int64_t gemm_workspace(const Gemm<T>& s) {
  return detail::gemm_portable_workspace(s) + (rounds(s) ? s.m * s.k + s.k * s.n : 0);
}

template <class T>
void gemm(const Execution& exec, const Gemm<T>& s, Span<const T> a, Span<const T> b, Span<T> c, Span<T> workspace) {
  if (rounds(s)) {
    const Span<T> rounded_a = slice<T>(workspace, detail::gemm_portable_workspace(s), s.m * s.k);
    const Span<T> rounded_b(rounded_a.data() + s.m * s.k, static_cast<std::size_t>(s.k * s.n));
    detail::round_operands<T>(exec, s.operands, a, rounded_a);
    detail::round_operands<T>(exec, s.operands, b, rounded_b);
    a = rounded_a, b = rounded_b;
  }
  if (!gemm_vendor(s, a.data(), b.data(), c.data())) detail::gemm_portable(exec, s, a, b, c, workspace);
}

template std::int64_t gemm_workspace(const Gemm<float>&);
template std::int64_t gemm_workspace(const Gemm<double>&);
template void gemm(const Execution&, const Gemm<float>&, Span<const float>, Span<const float>, Span<float>, Span<float>);
template void gemm(const Execution&, const Gemm<double>&, Span<const double>, Span<const double>, Span<double>, Span<double>);

}  // namespace trireme
