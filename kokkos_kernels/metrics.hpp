// Counts and sums for exact metrics; they can be added over batches and ranks.
#pragma once

#include "kokkos_kernels/long_sum.hpp"
#include "kokkos_kernels/loss.hpp"
#include "kokkos_kernels/types.hpp"

namespace trireme {

/// Counts of a batch of classes, per item (sample, or pixel of a sample). An item with a NaN score has no prediction: it counts as undefined and nowhere else.
struct ClassCounts {
  static constexpr std::int64_t totals_size = 4;
  Span<std::int64_t> totals;     // items whose label has the largest score; whose label is among the five largest; undefined ones; all but ignored ones
  Span<std::int64_t> confusion;  // (true * classes + predicted); empty: not counted
};

/// y: (items, classes). Of equal scores the lower class ranks first. Ignored items count nowhere.
template <class T>
void count_classes(const Execution& exec, std::int64_t items, std::int64_t classes, Span<const T> y, const ClassTargets<T>& labels, const ClassCounts& counts);

/// winners(s) = class of the largest score, the first of equal ones; -1 if any score is NaN.
template <class T>
void largest_class(const Execution& exec, std::int64_t n, std::int64_t classes, Span<const T> y, Span<std::int32_t> winners);

/// Sums for each output over samples. Targets are summed directly and as distances from one target, the pivot, so that no precision is lost if
/// targets are far from 0 and close to each other.
struct OutputSums {
  double pivot = 0, count = 0;                                                                              // count: targets that are not ignored
  double low = Kokkos::Experimental::infinity_v<double>, high = -Kokkos::Experimental::infinity_v<double>;  // smallest and largest of them
  LongSum absolute, squared;                                                                                // of |y - t|, of (y - t)^2
  LongSum shift, spread;                                                                                    // of t - pivot, of (t - pivot)^2
};

/// What is compared: targets (n, outputs), of `channels` per pixel, with y, of `stride` per pixel (the first of them).
template <class T>
struct ComparedOutputs {
  bool logits = false;  // compare the sigmoid of y
  Ignored<T> ignored = {};
  std::int64_t channels = 1, stride = 1;

  KOKKOS_INLINE_FUNCTION std::int64_t of(std::int64_t target) const { return channels == stride ? target : target / channels * stride + target % channels; }
};

/// sums(o) += the sums of output o of (n, outputs). With `first` the sums start at 0 and the first target becomes the pivot. NaN in outputs or targets makes
/// sums NaN.
template <class T>
void sum_errors(const Execution& exec, std::int64_t n, std::int64_t outputs, bool first, const ComparedOutputs<T>& compared, Span<const T> y,
                Span<const T> target, Span<OutputSums> sums);

/// squares (n, 2) = of each sample: the sum of (y - t)^2, the sum of t^2.
template <class T>
void sum_squares(const Execution& exec, std::int64_t n, std::int64_t outputs, const ComparedOutputs<T>& compared, Span<const T> y, Span<const T> target,
                 Span<double> squares);

/// counts (6) += pairs of y > threshold and t > 1/2: true positives, false positives, false negatives, true negatives; pairs with a NaN, which count
/// nowhere else; targets that are neither 0 nor 1.
template <class T>
void count_binary(const Execution& exec, std::int64_t n, std::int64_t outputs, T threshold, const Ignored<T>& ignored, Span<const T> y, Span<const T> target,
                  Span<std::int64_t> counts);

}  // namespace trireme
