// The loss of a deck: the labels that it needs, its value, and its gradient. With several [loss NAME] sections it is the weighted sum of their losses.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/deck.hpp"
#include "data/data_set.hpp"
#include "losses/term_loss.hpp"

namespace trireme {

/// The labels that [loss] and data.target need for a network from `input` to `output`. Usage errors name the key.
LabelDemand label_demand(const Deck& deck, const Shape& input, const Shape& output);

template <class T>
class LossFunction {
 public:
  /// For a network whose output may be distributed over ranks. `gathered`: the caller gives outputs with all channels. `grid` must outlive the object. Usage
  /// errors name the key.
  LossFunction(const Deck& deck, const Network<T>& network, const ProcessGrid& grid, bool gathered = false);

  /// Whether value() is a partial sum over the tensor axis.
  bool is_part() const { return losses_.front()->is_part(); }
  /// Writes the sum over the n samples to value(0), and the sum of weights to value(1) (on the device). With `gradient`, also writes the gradient of the mean
  /// over `global_count` samples and the targets of each, as PyTorch's reduction "mean". Collective over the ranks that share the samples' outputs.
  void apply(const Execution& exec, std::int64_t n, std::int64_t global_count, Span<const T> output, const Targets<T>& targets, Span<T> gradient);
  /// Device memory of the sums of the last apply().
  Span<double> value() { return several() ? slice<double>(total_, 0, 2) : losses_.front()->value(); }
  /// Whether targets have different weights. Then the sum of weights over all ranks belongs to the mean.
  bool weighted() const { return !several() && losses_.front()->weighted(); }
  /// Factor of the gradients (and of the loss) of `count` samples whose targets have this sum of weights.
  double gradient_scale(double weight, std::int64_t count) const { return several() ? 1.0 : losses_.front()->gradient_scale(weight, count); }
  /// If a loss is infinite because outputs or targets are outside its domain: the error message with a hint. Otherwise empty.
  std::string domain_fault(double loss) const;
  /// The mean loss from a sum over `count` samples.
  double mean(double sum, std::int64_t count) const { return several() ? mean_of(sum, count) : losses_.front()->mean(sum, count); }

  /// The losses of the deck, and the sum of each in the last apply(), without its weight.
  const std::vector<LossTerm>& terms() const { return *terms_; }
  Span<double> value(std::size_t term) { return losses_[term]->value(); }
  double mean(std::size_t term, double sum, std::int64_t count) const { return losses_[term]->mean(sum, count); }

 private:
  bool several() const { return losses_.size() > 1; }
  static double mean_of(double sum, std::int64_t count) { return count == 0 ? 0 : without_nan_sign(sum / static_cast<double>(count)); }

  std::shared_ptr<const std::vector<LossTerm>> terms_;  // losses refer to it
  std::vector<std::unique_ptr<TermLoss<T>>> losses_;
  Buffer<double> total_;  // (2): the weighted sum of several losses, and 0
};

/// For the part of a pipeline's last stage: messages of a loss over split channels per pass, and elements (of T, per sample) of its message buffers and of
/// those of an evaluation, which gathers the outputs.
template <class T>
std::vector<Traffic> loss_traffic(const Deck& deck, const Network<T>& network);
template <class T>
std::int64_t loss_message_elements(const Deck& deck, const Network<T>& network);

}  // namespace trireme
