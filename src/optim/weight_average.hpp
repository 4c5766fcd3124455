// The exponential moving average of the parameters over the steps, as torch.optim.swa_utils.AveragedModel with
// get_ema_multi_avg_fn: it starts as the parameters after the first step; then average = decay average + (1 - decay)
// parameters after each.
#pragma once

#include "network/network.hpp"

namespace trireme {

template <class T>
class WeightAverage {
 public:
  /// `network` outlives it.
  WeightAverage(Network<T>& network, double decay);

  /// After the update of step `step`, counted from 0.
  void update(const Execution& exec, std::int64_t step);
  /// Exchanges the average with the network's parameters: before they are evaluated, and after.
  void exchange(const Execution& exec);

  /// Parallel to the parameters: checkpoints save it.
  const Buffer<T>& values() const { return values_; }

 private:
  Network<T>& network_;
  double decay_;
  Buffer<T> values_;
};

}  // namespace trireme
