// Softmax over the channels of each row (rows x channels, channels last), with the largest value subtracted first.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

template <class T>
void softmax_forward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<T> y);
/// dx = y (dy - sum(y dy)). dx and dy may be the same memory.
template <class T>
void softmax_backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> y, Span<const T> dy, Span<T> dx);

/// y = x - log(sum(exp(x)))
template <class T>
void log_softmax_forward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<T> y);
/// dx = dy - exp(y) sum(dy). dx and dy may be the same memory.
template <class T>
void log_softmax_backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> y, Span<const T> dy, Span<T> dx);

}  // namespace trireme
