// Exponential moving average of the parameters over the steps, as torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn: the average starts
// as the parameters after the first step; after each further step average = decay * average + (1 - decay) * parameters.
#pragma once

#include "network/network.hpp"

namespace trireme {

template <class T>
class WeightAverage {
 public:
  /// `network` must outlive it.
  WeightAverage(Network<T>& network, double decay);

  /// Call it after the update of step `step`, counted from 0.
  void update(const Execution& exec, std::int64_t step);
  /// Swaps the average with the network's parameters; call it before and after an evaluation.
  void exchange(const Execution& exec);

  /// Parallel to the parameters; saved in checkpoints.
  const Buffer<T>& values() const { return values_; }

 private:
  Network<T>& network_;
  double decay_;
  Buffer<T> values_;
};

}  // namespace trireme
