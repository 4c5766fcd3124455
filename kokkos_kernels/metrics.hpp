// Counts and sums from which exact metrics are made; they add up over batches and ranks.
#pragma once

#include "kokkos_kernels/long_sum.hpp"
#include "kokkos_kernels/types.hpp"

namespace trireme {

/// What a batch's classes are counted in. A sample that has a score which is not a number has no prediction: it counts as undefined and nowhere else.
struct ClassCounts {
  Span<std::int64_t> totals;     // (3): samples whose largest score is their label's; whose label is among the five largest; undefined ones
  Span<std::int64_t> confusion;  // (true * classes + predicted); empty: not counted
};

/// Of equal scores the lower class comes first.
template <class T>
void count_classes(const Execution& exec, std::int64_t n, std::int64_t classes, Span<const T> y, Span<const std::int32_t> labels, const ClassCounts& counts);

/// winners(s) = class of the largest score, the first of equal ones; -1 where a score is not a number.
template <class T>
void largest_class(const Execution& exec, std::int64_t n, std::int64_t classes, Span<const T> y, Span<std::int32_t> winners);

/// What is summed of each output over samples, with targets as they are and as distances from one of them (the pivot), so that nothing is lost where they
/// lie far from 0 and close together.
struct OutputSums {
  double pivot = 0;
  LongSum absolute, squared;       // of |y - t|, of (y - t)^2
  LongSum shift, spread;           // of t - pivot, of (t - pivot)^2
};

/// sums(o) += those of output o of (n, outputs). With `first` the sums begin anew, and the first target becomes the pivot. With `logits` an output counts as its
/// sigmoid. NaN in outputs or targets makes sums NaN.
template <class T>
void sum_errors(const Execution& exec, std::int64_t n, std::int64_t outputs, bool first, bool logits, Span<const T> y, Span<const T> target,
                Span<OutputSums> sums);

/// counts (6) += pairs of y > threshold and t > 1/2: true positives, false positives, false negatives, true negatives; pairs that have a NaN, which count
/// nowhere else; targets that are neither 0 nor 1.
template <class T>
void count_binary(const Execution& exec, std::int64_t n, std::int64_t outputs, T threshold, Span<const T> y, Span<const T> target, Span<std::int64_t> counts);

}  // namespace trireme
