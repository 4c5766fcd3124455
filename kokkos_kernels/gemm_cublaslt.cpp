#include "kokkos_kernels/detail/cublaslt.hpp"

#if defined(TRIREME_HAVE_CUBLASLT)

#include <cublasLt.h>

#include <map>
#include <memory>
#include <tuple>

#include "base/error.hpp"
#include "kokkos_kernels/detail/operands.hpp"
#include "kokkos_kernels/detail/vendor_library.hpp"

namespace trireme::detail {

namespace {

struct CublasLt {
  VendorLibrary library{"libcublasLt.so." TRIREME_TEXT_OF(CUBLAS_VER_MAJOR)};
  TRIREME_SYMBOL(cublasLtCreate);
  TRIREME_SYMBOL(cublasLtDestroy);
  TRIREME_SYMBOL(cublasLtGetStatusString);
  TRIREME_SYMBOL(cublasLtMatmul);
  TRIREME_SYMBOL(cublasLtMatmulAlgoGetHeuristic);
  TRIREME_SYMBOL(cublasLtMatmulDescCreate);
  TRIREME_SYMBOL(cublasLtMatmulDescDestroy);
  TRIREME_SYMBOL(cublasLtMatmulDescSetAttribute);
  TRIREME_SYMBOL(cublasLtMatmulPreferenceCreate);
  TRIREME_SYMBOL(cublasLtMatmulPreferenceDestroy);
  TRIREME_SYMBOL(cublasLtMatmulPreferenceSetAttribute);
  TRIREME_SYMBOL(cublasLtMatrixLayoutCreate);
  TRIREME_SYMBOL(cublasLtMatrixLayoutDestroy);
};

const CublasLt& lt() {
  static const CublasLt loaded;
  return loaded;
}

void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS) throw internal_error("{} failed: {}", call, lt().cublasLtGetStatusString(status));
}

struct End {
  void operator()(cublasLtContext* handle) const { lt().cublasLtDestroy(handle); }
  void operator()(cublasLtMatmulDescOpaque_t* description) const { lt().cublasLtMatmulDescDestroy(description); }
  void operator()(cublasLtMatmulPreferenceOpaque_t* preference) const { lt().cublasLtMatmulPreferenceDestroy(preference); }
  void operator()(cublasLtMatrixLayoutOpaque_t* layout) const { lt().cublasLtMatrixLayoutDestroy(layout); }
};
template <class Opaque>
using Owned = std::unique_ptr<Opaque, End>;

Owned<cublasLtMatrixLayoutOpaque_t> layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns) {
  cublasLtMatrixLayout_t made = nullptr;
  check(lt().cublasLtMatrixLayoutCreate(&made, type, static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns), rows),
        "cublasLtMatrixLayoutCreate");
  return Owned<cublasLtMatrixLayoutOpaque_t>(made);
}

template <class Number>
constexpr cudaDataType_t type_of = std::is_same_v<Number, Bf16>     ? CUDA_R_16BF
                                   : std::is_same_v<Number, double> ? CUDA_R_64F
                                                                    : CUDA_R_32F;

/// What is known of a shape. cuBLASLt thinks in columns: a row-major matrix is its transpose there, so C = op(A) op(B) is C' = op(B)' op(A)'.
struct Product {
  Owned<cublasLtMatmulDescOpaque_t> description;
  Owned<cublasLtMatrixLayoutOpaque_t> a, b, c;
  cublasLtMatmulAlgo_t algorithm;
  bool served = false;
};

/// m, n, k, transposes of A and B, accumulate, operands, size of an operand, of a sum, alignment of all arrays.
using ShapeKey = std::tuple<std::int64_t, std::int64_t, std::int64_t, bool, bool, bool, ComputeType, std::size_t, std::size_t, std::uintptr_t>;

/// The handle and what was chosen, from the first product until Kokkos ends.
struct State {
  Owned<cublasLtContext> handle;
  std::map<ShapeKey, Product> products;
};
std::unique_ptr<State> state;

State& living_state() {
  if (!state) {
    state = std::make_unique<State>();
    Kokkos::push_finalize_hook([] { state.reset(); });
    cublasLtHandle_t made = nullptr;
    check(lt().cublasLtCreate(&made), "cublasLtCreate");
    state->handle.reset(made);
  }
  return *state;
}

template <class Operand, class T>
Product choose(cublasLtHandle_t handle, const Gemm<T>& s, std::uint32_t alignment, std::size_t bytes) {
  Product product;
  const cublasComputeType_t compute = std::is_same_v<T, double>         ? CUBLAS_COMPUTE_64F
                                      : s.operands == ComputeType::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                                        : CUBLAS_COMPUTE_32F;
  cublasLtMatmulDesc_t description = nullptr;
  check(lt().cublasLtMatmulDescCreate(&description, compute, type_of<T>), "cublasLtMatmulDescCreate");
  product.description.reset(description);
  const cublasOperation_t first = s.b == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N, second = s.a == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N;
  check(lt().cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first), "cublasLtMatmulDescSetAttribute");
  check(lt().cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second), "cublasLtMatmulDescSetAttribute");
  product.b = s.b == Transpose::yes ? layout(type_of<Operand>, s.k, s.n) : layout(type_of<Operand>, s.n, s.k);
  product.a = s.a == Transpose::yes ? layout(type_of<Operand>, s.m, s.k) : layout(type_of<Operand>, s.k, s.m);
  product.c = layout(type_of<T>, s.n, s.m);

  cublasLtMatmulPreference_t made = nullptr;
  check(lt().cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
  const Owned<cublasLtMatmulPreferenceOpaque_t> preference(made);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    check(lt().cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value), "cublasLtMatmulPreferenceSetAttribute");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, bytes);
  for (const auto attribute : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                               CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    prefer(attribute, alignment);
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  const cublasStatus_t status = lt().cublasLtMatmulAlgoGetHeuristic(handle, description, product.b.get(), product.a.get(), product.c.get(), product.c.get(),
                                                                    preference.get(), 1, &best, &found);
  if (status != CUBLAS_STATUS_NOT_SUPPORTED) check(status, "cublasLtMatmulAlgoGetHeuristic");
  product.served = status == CUBLAS_STATUS_SUCCESS && found > 0 && best.state == CUBLAS_STATUS_SUCCESS;
  product.algorithm = best.algo;
  return product;
}

}  // namespace

bool has_cublaslt() { return lt().library.complete(); }

template <class Operand, class T>
bool cublaslt_product(const Execution& exec, const Gemm<T>& s, const Operand* a, const Operand* b, T* c, void* workspace, std::size_t bytes) {
  if (!has_cublaslt() || s.k == 0) return false;
  const std::uintptr_t all = reinterpret_cast<std::uintptr_t>(a) | reinterpret_cast<std::uintptr_t>(b) | reinterpret_cast<std::uintptr_t>(c) | 256u;
  const std::uintptr_t alignment = all & (~all + 1);
  State& now = living_state();
  const ShapeKey shape{s.m, s.n, s.k, s.a == Transpose::yes, s.b == Transpose::yes, s.accumulate, s.operands, sizeof(Operand), sizeof(T), alignment};
  auto found = now.products.find(shape);
  if (found == now.products.end())
    found = now.products.emplace(shape, choose<Operand>(now.handle.get(), s, static_cast<std::uint32_t>(alignment), bytes)).first;
  const Product& product = found->second;
  if (!product.served) return false;
  const T one = 1, beta = s.accumulate ? T{1} : T{};
  check(lt().cublasLtMatmul(now.handle.get(), product.description.get(), &one, b, product.b.get(), a, product.a.get(), &beta, c, product.c.get(), c,
                            product.c.get(), &product.algorithm, workspace, bytes, exec.cuda_stream()),
        "cublasLtMatmul");
  return true;
}

}  // namespace trireme::detail

#else

namespace trireme::detail {

bool has_cublaslt() { return false; }

template <class Operand, class T>
bool cublaslt_product(const Execution&, const Gemm<T>&, const Operand*, const Operand*, T*, void*, std::size_t) {
  return false;
}

}  // namespace trireme::detail

#endif

#include "kokkos_kernels/detail/operands.hpp"

namespace trireme::detail {

template bool cublaslt_product(const Execution&, const Gemm<float>&, const float*, const float*, float*, void*, std::size_t);
template bool cublaslt_product(const Execution&, const Gemm<float>&, const Bf16*, const Bf16*, float*, void*, std::size_t);
template bool cublaslt_product(const Execution&, const Gemm<double>&, const double*, const double*, double*, void*, std::size_t);

}  // namespace trireme::detail
