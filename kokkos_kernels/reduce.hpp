// Sums and means over pixels and rows of channels-last activations. Blocks of rows, whose size depends on the shape only, are summed in T and
// combined in double, in order, so the bits do not depend on the number of threads.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// y = sum over the pixels / `of`: (n, pixels, channels) -> (n, channels). `of` = pixels gives the mean; `of` is larger if the pixels are a part of a
/// sample.
template <class T>
void mean_over_pixels(const Execution& exec, std::int64_t n, std::int64_t pixels, std::int64_t of, std::int64_t channels, Span<const T> x, Span<T> y);
/// dx = dy / of at every pixel.
template <class T>
void mean_over_pixels_backward(const Execution& exec, std::int64_t n, std::int64_t pixels, std::int64_t of, std::int64_t channels, Span<const T> dy,
                               Span<T> dx);

/// Doubles of scratch memory for add_channel_sums.
std::int64_t channel_sums_workspace(std::int64_t rows, std::int64_t channels);
/// out += sum over the rows of x (rows, channels): add_column_sums for many rows.
template <class T>
void add_channel_sums(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<double> workspace, Span<T> out);

}  // namespace trireme
