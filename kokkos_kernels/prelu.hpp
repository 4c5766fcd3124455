// f(x) = x for x > 0, w x otherwise, with a learned w for each channel or one for all (He et al. 2015), as PyTorch's PReLU.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// x, y: (rows, channels); `slope` holds one number, or one for each channel.
template <class T>
void prelu_forward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> slope, Span<const T> x, Span<T> y);

/// Doubles of scratch memory for prelu_backward with at most this many rows.
std::int64_t prelu_workspace(std::int64_t rows, std::int64_t channels);
/// dx = f'(x) dy, with f'(0) = w (dx may be empty); dslope += sum of x dy where x <= 0. Sums are in blocks of rows whose size depends on the rows alone.
template <class T>
void prelu_backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> slope, Span<const T> x, Span<const T> dy,
                    Span<double> workspace, Span<T> dx, Span<T> dslope);

}  // namespace trireme
