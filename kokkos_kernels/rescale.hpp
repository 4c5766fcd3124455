// A linear function of each channel, such as the conversion between normalized numbers and those of the files.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// y(i, c) = x(i, c) * factor(c) + shift(c) for `rows` x `channels` numbers. x and y may be the same memory.
template <class T>
void rescale(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> factor, Span<const T> shift, Span<T> y);

}  // namespace trireme
