// The values that all ranks must agree on in a step: the loss, and whether a rank received a stop request, had an error, or wants a checkpoint. They are
// reduced together with the gradients, so they need no extra message, and all ranks take the same decision at the same step.
//
// Owns the host copy of these values; the device copy is the network's control memory.
#pragma once

#include "comm/process_grid.hpp"
#include "losses/loss_function.hpp"
#include "network/network.hpp"

namespace trireme {

/// The requests of one rank.
struct StepFlags {
  bool stop = false;   // a stop was requested
  bool fault = false;  // an error occurred that ends the run
  bool save = false;   // a checkpoint is due
};

/// The combined values, the same on all ranks.
struct StepOutcome {
  double loss_sum;  // over the samples of the step
  double weight;    // sum of the weights of their targets, if the loss is weighted
  StepFlags flags;  // a flag is set if any rank has set it
};

template <class T>
class ControlExchange {
 public:
  /// Both arguments must outlive the object.
  ControlExchange(const ProcessGrid& grid, Network<T>& network);

  /// Adds `share` of the loss (and of its weight: two numbers) and sets the flags, after the work launched on `exec`. Not collective.
  void add(const Execution& exec, Span<const double> loss, double share, const StepFlags& flags);
  /// Call it after the reduction. Waits for the device; collective over the ranks that hold one model.
  StepOutcome read(const Execution& exec, const LossFunction<T>& loss);

 private:
  const ProcessGrid& grid_;
  Network<T>& network_;
  HostBuffer<T> host_;
};

}  // namespace trireme
