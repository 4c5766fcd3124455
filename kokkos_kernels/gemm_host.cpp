// Matrix products of the host by oneDNN or a CBLAS, else by the portable kernel.
#include <algorithm>
#include <type_traits>

#include "base/error.hpp"
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

/// Rows of the matrices as they are stored, in elements.
struct Strides {
  std::int64_t a, b, c;
};

// Whether a vendor library serves this type.
template <class T>
constexpr bool vendor_serves() {
#if defined(TRIREME_HAVE_CBLAS)
  return true;
#elif defined(TRIREME_HAVE_ONEDNN)
  return std::is_same_v<T, float>;
#else
  return false;
#endif
}

// Returns false where the library will not.
template <class T>
bool gemm_vendor([[maybe_unused]] const Gemm<T>& s, [[maybe_unused]] const Strides& strides, [[maybe_unused]] const T* a, [[maybe_unused]] const T* b,
                 [[maybe_unused]] T* c) {
  [[maybe_unused]] const std::int64_t lda = strides.a, ldb = strides.b, ldc = strides.c;
#if defined(TRIREME_HAVE_ONEDNN)
  if constexpr (std::is_same_v<T, float>)
    return dnnl_sgemm(s.a == Transpose::no ? 'N' : 'T', s.b == Transpose::no ? 'N' : 'T', s.m, s.n, s.k, 1.0f, a, lda, b, ldb, s.accumulate ? 1.0f : 0.0f, c,
                      ldc) == dnnl_success;
#endif
#if defined(TRIREME_HAVE_CBLAS)
  const auto ta = s.a == Transpose::no ? CblasNoTrans : CblasTrans, tb = s.b == Transpose::no ? CblasNoTrans : CblasTrans;
  const auto i = [](std::int64_t value) { return static_cast<int>(value); };
  const T beta = s.accumulate ? T{1} : T{0};
  if constexpr (std::is_same_v<T, float>)
    cblas_sgemm(CblasRowMajor, ta, tb, i(s.m), i(s.n), i(s.k), T{1}, a, i(lda), b, i(ldb), beta, c, i(ldc));
  else
    cblas_dgemm(CblasRowMajor, ta, tb, i(s.m), i(s.n), i(s.k), T{1}, a, i(lda), b, i(ldb), beta, c, i(ldc));
  return true;
#else
  return false;
#endif
}

// A piece of C is one thread's: inside a parallel region the library does not make threads of its own. Pieces depend on the shape alone.
template <class T>
void gemm_in_pieces(const Execution& exec, const Gemm<T>& s, const Strides& strides, const T* a, const T* b, T* c) {
  const auto extent = [](std::int64_t n) { return std::max<std::int64_t>((n / 8 + 15) / 16 * 16, 64); };
  const std::int64_t height = extent(s.m), width = extent(s.n), across = (s.n + width - 1) / width, down = (s.m + height - 1) / height;
  int failures = 0;
  int* const failed = &failures;
  Kokkos::parallel_for("trireme::gemm::pieces", Range(exec, 0, across * down), [=](std::int64_t piece) {
    const std::int64_t row = piece / across * height, column = piece % across * width;
    Gemm<T> part = s;
    part.m = std::min(height, s.m - row), part.n = std::min(width, s.n - column);
    const T* const rows = a + row * (s.a == Transpose::no ? strides.a : 1);
    const T* const columns = b + column * (s.b == Transpose::no ? 1 : strides.b);
    if (!gemm_vendor(part, strides, rows, columns, c + row * strides.c + column)) Kokkos::atomic_store(failed, 1);
  });
  if (failures != 0) throw internal_error("{} refused a product of {} x {} x {}", gemm_provider(), s.m, s.n, s.k);
}

template <class T>
bool rounds(const Gemm<T>& shape) {
  return std::is_same_v<T, float> && shape.operands != ComputeType::full;
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
  if (vendor_serves<T>() && !portable_kernels_forced() && s.m * s.n * s.k > 0) {
    const Strides strides{s.a == Transpose::no ? s.k : s.m, s.b == Transpose::no ? s.n : s.k, s.n};
    if (s.fixed_order) return gemm_in_pieces(exec, s, strides, a.data(), b.data(), c.data());
    if (gemm_vendor(s, strides, a.data(), b.data(), c.data())) return;
  }
  detail::gemm_portable(exec, s, a, b, c, workspace);
}

template std::int64_t gemm_workspace(const Gemm<float>&);
template std::int64_t gemm_workspace(const Gemm<double>&);
template void gemm(const Execution&, const Gemm<float>&, Span<const float>, Span<const float>, Span<float>, Span<float>);
template void gemm(const Execution&, const Gemm<double>&, Span<const double>, Span<const double>, Span<double>, Span<double>);

}  // namespace trireme
