// The loss of a deck: what labels it demands, its value and first gradient.
#pragma once

#include "config/deck.hpp"
#include "data/data_set.hpp"
#include "kokkos_kernels/loss.hpp"
#include "train/batch_stager.hpp"

namespace trireme {

/// The loss that [loss] names, and the labels that it and data.target want of a network from `input` to `output`. Usage errors name the key.
LossKind loss_kind(const Deck& deck);
LabelDemand label_demand(const Deck& deck, const Shape& input, const Shape& output);

template <class T>
class LossFunction {
 public:
  /// `output`: the whole shape; `local`: elements of it that this rank has of a sample.
  LossFunction(const Deck& deck, const Shape& output, std::int64_t local, std::int64_t samples);

  /// Sum over the n samples into value(0) (on the device); with `gradient` also the gradient of the mean over `global_count` samples
  /// (and over a sample's outputs for all losses but cross_entropy, as PyTorch's mean reduction).
  void apply(const Execution& exec, std::int64_t n, std::int64_t global_count, Span<const T> output, const Targets<T>& targets, Span<T> gradient);
  /// Device memory of the last apply's sum.
  Span<double> value() { return slice<double>(value_, 0, 1); }
  /// The mean loss from a sum over `count` samples.
  double mean(double sum, std::int64_t count) const { return count == 0 ? 0 : sum / (static_cast<double>(count) * divisor_); }

 private:
  LossKind kind_;
  std::int64_t outputs_;
  T smoothing_;
  double divisor_;  // outputs a sample that the mean runs over
  Buffer<double> per_sample_, value_;
};

}  // namespace trireme
