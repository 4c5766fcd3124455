// Counts and sums from which exact metrics are made; they add up over batches and ranks.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// counts(0) += samples whose largest score is their label's; counts(1) += samples whose label is among the five largest scores;
/// counts(2 + true * classes + predicted) += 1. Of equal scores the lower class comes first.
template <class T>
void count_classes(const Execution& exec, std::int64_t n, std::int64_t classes, Span<const T> y, Span<const std::int32_t> labels,
                   Span<std::int64_t> counts);

/// For each output o of (n, outputs): sums(4o..4o+3) += sum |y - t|, sum (y - t)^2, sum t, sum t^2.
template <class T>
void sum_errors(const Execution& exec, std::int64_t n, std::int64_t outputs, Span<const T> y, Span<const T> target, Span<double> sums);

/// winners(s) = class of the largest score.
template <class T>
void largest_class(const Execution& exec, std::int64_t n, std::int64_t classes, Span<const T> y, Span<std::int32_t> winners);

}  // namespace trireme
