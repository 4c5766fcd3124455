// Losses: value and first gradient in one pass. "mean" reduction over the global batch: the caller gives the factor.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

enum class LossKind { cross_entropy, mse, mae, bce, bce_with_logits };

/// The outputs that are at hand of each pixel: channels [first, first + own) of `whole`. Targets have all.
struct OutputShare {
  std::int64_t own, first, whole;
};

/// y: (n, classes) unnormalised scores; labels: n class numbers. Adds nothing: loss(0) = sum over samples of
///   -log softmax(y)[label]                                          with smoothing e: (1 - e) of that + e/classes of the sum over all classes
/// (Szegedy et al. 2016, section 7; PyTorch's CrossEntropyLoss). dy = factor * gradient of that sum; dy may be empty (evaluation), and may
/// be the same memory as y. `per_sample` is workspace of n doubles; the sum runs over it in order.
template <class T>
void cross_entropy(const Execution& exec, std::int64_t n, std::int64_t classes, Span<const T> y, Span<const std::int32_t> labels, T smoothing,
                   T factor, Span<T> dy, Span<double> per_sample, Span<double> loss);

/// The same where y has a share of the classes alone, (n, share.own), and other ranks the others. First each rank's statistics, (n, 4): the largest y, the
/// sum of exp(y - largest), the label's y (0 where it is not here), the sum of y. Then, from those of all `ranks`, (n, 4 ranks), the whole loss and the
/// gradient of these classes.
inline constexpr std::int64_t class_statistics = 4;
template <class T>
void cross_entropy_statistics(const Execution& exec, std::int64_t n, const OutputShare& share, Span<const T> y, Span<const std::int32_t> labels,
                              Span<double> statistics);
template <class T>
void cross_entropy_of_shares(const Execution& exec, std::int64_t n, const OutputShare& share, std::int64_t ranks, Span<const double> statistics, Span<const T> y,
                             Span<const std::int32_t> labels, T smoothing, T factor, Span<T> dy, Span<double> per_sample, Span<double> loss);

/// y: (n, pixels, share.own), target: (n, pixels, share.whole). loss(0) = sum over all elements of (y-t)^2 (mse), |y-t| (mae),
/// -(t log y + (1-t) log(1-y)) with logarithms no less than -100 (bce, PyTorch's BCELoss), or the same of sigmoid(y) (bce_with_logits).
/// dy = factor * gradient of that sum; dy may be empty. bce's gradient divides by max(y(1-y), 1e-12), as PyTorch.
/// NaN in y or target makes the loss NaN. bce has an infinite loss where an output lies outside [0, 1], and both bce kinds one of -inf where a target does,
/// by more than a few roundings; both at once give NaN.
template <class T>
void elementwise_loss(const Execution& exec, LossKind kind, std::int64_t n, std::int64_t pixels, const OutputShare& share, Span<const T> y,
                      Span<const T> target, T factor, Span<T> dy, Span<double> per_sample, Span<double> loss);
/// Of whole outputs, `outputs` of a sample.
template <class T>
void elementwise_loss(const Execution& exec, LossKind kind, std::int64_t n, std::int64_t outputs, Span<const T> y, Span<const T> target, T factor,
                      Span<T> dy, Span<double> per_sample, Span<double> loss) {
  elementwise_loss<T>(exec, kind, n, 1, {outputs, 0, outputs}, y, target, factor, dy, per_sample, loss);
}

}  // namespace trireme
