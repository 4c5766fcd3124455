// One loss of a deck: its value, and its gradient.
//
// The mean of a weighted loss (ignored targets, class weights) is over the weights of all targets of the batch, which no rank knows before the reduction.
// Gradients are therefore divided by the number of targets, and rescaled after the reduction: gradient_scale().
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/text.hpp"
#include "losses/loss_terms.hpp"
#include "network/network.hpp"
#include "parallel/rank_sum.hpp"

namespace trireme {

/// Weights of `rows` rows along y (loss.reduction_weights), with mean 1; empty: none.
std::vector<double> row_weights(const Deck& deck, std::int64_t rows);

template <class T>
class TermLoss {
 public:
  /// For a network whose output may be distributed over ranks. A rank with some of the pixels or channels computes its part of the loss. Losses that need all
  /// channels of a pixel gather them; cross_entropy of class numbers exchanges four numbers per sample instead. `gathered`: the caller gives outputs with all
  /// channels. `grid` must outlive the object.
  /// `term`: one of the deck's losses; it must outlive the object. If there are several, the output must be whole in its channels.
  TermLoss(const LossTerm& term, const Network<T>& network, const ProcessGrid& grid, bool gathered);

  /// Whether value() is a partial sum over the tensor axis.
  bool is_part() const { return share_.own != share_.whole && !exchange_ && !whole_; }
  /// Writes the sum over the n samples to value(0), and the sum of weights to value(1) (on the device). With `gradient`, also writes the gradient of the mean
  /// over `global_count` samples and the targets of each, as PyTorch's reduction "mean". Collective over the ranks that share the samples' outputs.
  void apply(const Execution& exec, std::int64_t n, std::int64_t global_count, Span<const T> output, const Targets<T>& targets, Span<T> gradient);
  /// Device memory of the sums of the last apply().
  Span<double> value() { return slice<double>(value_, 0, 2); }
  /// Whether targets have different weights. Then the sum of weights over all ranks belongs to the mean.
  bool weighted() const { return weighted_; }
  /// Factor of the gradients (and of the loss) of `count` samples whose targets have this sum of weights.
  double gradient_scale(double weight, std::int64_t count) const {
    return !weighted_ ? 1.0 : weight > 0 ? static_cast<double>(count) * divisor_ / weight : 0.0;
  }
  /// If a loss is infinite because outputs or targets are outside its domain: the error message with a hint. Otherwise empty.
  std::string domain_fault(double loss) const;
  /// The mean loss from a sum over `count` samples.
  double mean(double sum, std::int64_t count) const { return count == 0 ? 0 : without_nan_sign(sum / (static_cast<double>(count) * divisor_)); }

 private:
  void sum_statistics(LossPass<T>& pass);

  const LossTerm& term_;
  const LossKind& kind_;
  LossTargets targets_;
  std::unique_ptr<Loss<T>> loss_;
  std::int64_t pixels_;
  OutputShare share_;
  bool several_;  // one of several losses, of a range of the channels
  T smoothing_;
  double divisor_;  // targets per sample in the mean
  bool weighted_;
  Ignored<T> ignored_;
  Buffer<T> class_weights_;
  double class_weight_sum_ = 0;
  Buffer<double> rows_;
  std::int64_t width_ = 1;
  Buffer<double> partial_, value_;
  std::optional<ChannelShares<double>> exchange_;  // of class statistics
  Buffer<double> own_, known_;
  std::optional<ChannelShares<T>> whole_;  // gathers all channels
  Buffer<T> whole_output_;
  const Communicator* split_ = nullptr;  // ranks that share the pixels of a sample, for losses of whole samples
  bool counts_ = true;                   // this rank counts the loss of whole samples
  Buffer<double> statistics_;
  RankSum<double> all_reduce_;
};

/// For the part of a pipeline's last stage: messages of a loss over split channels per pass, and elements (of T, per sample) of its message buffers and of
/// those of an evaluation, which gathers the outputs.
template <class T>
std::vector<Traffic> term_traffic(const Deck& deck, const Network<T>& network);
template <class T>
std::int64_t term_message_elements(const Deck& deck, const Network<T>& network);

}  // namespace trireme
