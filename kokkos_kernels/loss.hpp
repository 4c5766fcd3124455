// Losses: value and first gradient in one pass. "mean" reduction over the global batch: the caller gives the factor.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

enum class LossKind { cross_entropy, mse, mae, bce, bce_with_logits };

/// y: (n, classes) unnormalised scores; labels: n class numbers. Adds nothing: loss(0) = sum over samples of
///   -log softmax(y)[label]                                          with smoothing e: (1 - e) of that + e/classes of the sum over all classes
/// (Szegedy et al. 2016, section 7; PyTorch's CrossEntropyLoss). dy = factor * gradient of that sum; dy may be empty (evaluation), and may
/// be the same memory as y. `per_sample` is workspace of n doubles; the sum runs over it in order.
template <class T>
void cross_entropy(const Execution& exec, std::int64_t n, std::int64_t classes, Span<const T> y, Span<const std::int32_t> labels, T smoothing,
                   T factor, Span<T> dy, Span<double> per_sample, Span<double> loss);

/// y, target: (n, outputs). loss(0) = sum over all elements of (y-t)^2 (mse), |y-t| (mae),
/// -(t log y + (1-t) log(1-y)) with logarithms no less than -100 (bce, PyTorch's BCELoss), or the same of sigmoid(y) (bce_with_logits).
/// dy = factor * gradient of that sum; dy may be empty. bce's gradient divides by max(y(1-y), 1e-12), as PyTorch.
template <class T>
void elementwise_loss(const Execution& exec, LossKind kind, std::int64_t n, std::int64_t outputs, Span<const T> y, Span<const T> target, T factor,
                      Span<T> dy, Span<double> per_sample, Span<double> loss);

}  // namespace trireme
