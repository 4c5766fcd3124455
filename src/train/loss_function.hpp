// The loss of a deck: what labels it demands, its value and first gradient.
#pragma once

#include <optional>
#include <string>

#include "config/deck.hpp"
#include "data/data_set.hpp"
#include "kokkos_kernels/loss.hpp"
#include "network/network.hpp"
#include "train/batch_stager.hpp"

namespace trireme {

/// The loss that [loss] names, and the labels that it and data.target want of a network from `input` to `output`. Usage errors name the key.
LossKind loss_kind(const Deck& deck);
LabelDemand label_demand(const Deck& deck, const Shape& input, const Shape& output);

template <class T>
class LossFunction {
 public:
  /// Of outputs whose channels are all here. `output`: the whole shape; `local`: elements of it that this rank has of a sample.
  LossFunction(const Deck& deck, const Shape& output, std::int64_t local, std::int64_t samples);
  /// Of a network's outputs as they lie on its ranks: a rank that has a share of the channels has a part of an elementwise loss; cross_entropy exchanges four
  /// numbers a sample over the tensor axis, and each rank has the whole. `grid` outlives it.
  LossFunction(const Deck& deck, const Network<T>& network, const ProcessGrid& grid);

  /// Whether value() is this rank's part of a sum over the tensor axis.
  bool is_part() const { return share_.own != share_.whole && kind_ != LossKind::cross_entropy; }
  /// Collective over the tensor axis where it has shares of the classes. Sum over the n samples into value(0) (on the device); with `gradient` also the gradient of the mean over `global_count` samples
  /// (and over a sample's outputs for all losses but cross_entropy, as PyTorch's mean reduction).
  void apply(const Execution& exec, std::int64_t n, std::int64_t global_count, Span<const T> output, const Targets<T>& targets, Span<T> gradient);
  /// Device memory of the last apply's sum.
  Span<double> value() { return slice<double>(value_, 0, 1); }
  /// What an infinite loss of a batch says of outputs or targets that the loss is not defined for, and what to do; empty where it says nothing.
  std::string domain_fault(double loss) const;
  /// The mean loss from a sum over `count` samples.
  double mean(double sum, std::int64_t count) const { return count == 0 ? 0 : sum / (static_cast<double>(count) * divisor_); }

 private:
  LossFunction(const Deck& deck, const Shape& output, std::int64_t pixels, const OutputShare& share, std::int64_t samples);

  LossKind kind_;
  std::int64_t pixels_;
  OutputShare share_;
  T smoothing_;
  double divisor_;  // outputs a sample that the mean runs over
  Buffer<double> per_sample_, value_;
  std::optional<ChannelShares<double>> exchange_;  // of the classes' statistics
  Buffer<double> own_, known_;
};

/// What the exchange of the loss of shares sends in a pass, and elements (of T, a sample) of its messages' memory and of an evaluation's, which gathers the
/// outputs. Of the part of a pipeline's last stage.
template <class T>
std::vector<Traffic> loss_traffic(const Deck& deck, const Network<T>& network);
template <class T>
std::int64_t loss_message_elements(const Deck& deck, const Network<T>& network);

}  // namespace trireme
