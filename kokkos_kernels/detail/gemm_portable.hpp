// The portable matrix product: on the host the tile kernel of the convolution, elsewhere one thread an element.
#pragma once

#include "kokkos_kernels/gemm.hpp"

namespace trireme::detail {

template <class T>
std::int64_t gemm_portable_workspace(const Gemm<T>& shape);

template <class T>
void gemm_portable(const Execution& exec, const Gemm<T>& shape, Span<const T> a, Span<const T> b, Span<T> c, Span<T> workspace);

}  // namespace trireme::detail
