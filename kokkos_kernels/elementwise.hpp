// Copies, sums and changes of layout. Activations are channels-last, (n, pixels, channels); files and PyTorch have (n, channels, pixels).
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// y = x
template <class T>
void copy(const Execution& exec, std::int64_t count, Span<const T> x, Span<T> y);
/// Swaps x and y.
template <class T>
void exchange(const Execution& exec, std::int64_t count, Span<T> x, Span<T> y);
/// y = value
template <class T>
void fill(const Execution& exec, std::int64_t count, T value, Span<T> y);
/// y += x
template <class T>
void add_to(const Execution& exec, std::int64_t count, Span<const T> x, Span<T> y);
/// y = factor x; x and y may be the same memory.
template <class T>
void scale(const Execution& exec, std::int64_t count, T factor, Span<const T> x, Span<T> y);
/// y = a + b; with `relu`, y = max(0, a + b).
template <class T>
void sum(const Execution& exec, std::int64_t count, Span<const T> a, Span<const T> b, Span<T> y, bool relu = false);

/// Copies columns [from_first, from_first + width) of each row of `from` to the columns from to_first on of the same row of `to` (width to_width).
template <class T>
void copy_columns(const Execution& exec, std::int64_t rows, std::int64_t width, Span<const T> from, std::int64_t from_width, std::int64_t from_first,
                  Span<T> to, std::int64_t to_width, std::int64_t to_first);

/// (n, pixels, channels) -> (n, to_pixels, to_channels): a reshape of samples in channels-first order.
template <class T>
void reshape(const Execution& exec, std::int64_t n, std::int64_t pixels, std::int64_t channels, std::int64_t to_pixels, std::int64_t to_channels,
             Span<const T> x, Span<T> y);
/// Channels-last to channels-first: (n, pixels, channels) -> (n, channels, pixels).
template <class T>
void channels_first(const Execution& exec, std::int64_t n, std::int64_t pixels, std::int64_t channels, Span<const T> x, Span<T> y);
/// The inverse.
template <class T>
void channels_last(const Execution& exec, std::int64_t n, std::int64_t pixels, std::int64_t channels, Span<const T> x, Span<T> y);

/// y(r, c) += bias(c), then max(0, .) when `relu`; y is rows x columns. bias may be empty.
template <class T>
void add_bias(const Execution& exec, std::int64_t rows, std::int64_t columns, Span<const T> bias, Span<T> y, bool relu);
/// out(c) += sum over rows of x(r, c); rows are added in order, with any number of threads.
template <class T>
void add_column_sums(const Execution& exec, std::int64_t rows, std::int64_t columns, Span<const T> x, Span<T> out);

/// Sum of squares in result(0), in blocks of fixed size, so that it does not depend on the number of threads. `partial` holds
/// squared_norm_workspace(count) numbers.
std::int64_t squared_norm_workspace(std::int64_t count);
template <class T>
void squared_norm(const Execution& exec, std::int64_t count, Span<const T> x, Span<double> partial, Span<double> result);

}  // namespace trireme
