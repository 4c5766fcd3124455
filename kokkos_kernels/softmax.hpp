// Softmax over the channels of each row (rows x channels, channels last). The largest value of the row is subtracted first.
//
// A thread has a row of up to 1024 channels. Longer rows are cut into blocks of as many: each block's largest value and sum go to the workspace, and
// every block joins those of its row, in order. So few long rows have as many threads as many short ones, and bits do not depend on their number.
//
//   x  |block 0|block 1|..|  ->  largest of each block  ->  sums of exp(x - largest of the row)  ->  y
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// Doubles of scratch memory for the functions below.
std::int64_t softmax_workspace(std::int64_t rows, std::int64_t channels);

template <class T>
void softmax_forward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<double> workspace, Span<T> y);
/// dx = y (dy - sum(y dy)). dx and dy may be the same memory.
template <class T>
void softmax_backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> y, Span<const T> dy, Span<double> workspace, Span<T> dx);

/// y = x - log(sum(exp(x)))
template <class T>
void log_softmax_forward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<double> workspace, Span<T> y);
/// dx = dy - exp(y) sum(dy). dx and dy may be the same memory.
template <class T>
void log_softmax_backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> y, Span<const T> dy, Span<double> workspace,
                          Span<T> dx);

}  // namespace trireme
