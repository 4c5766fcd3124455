// Pass 2, order: the steps that run in each direction, and the values that need gradients.
//
//   in   steps after fusion; whether the network is built for training
//   out  ExecutionOrder
//
// Not collective.
#pragma once

#include "network/steps.hpp"

namespace trireme {

/// Consecutive steps [begin, end) that are recomputed before their backward pass.
struct Segment {
  std::size_t begin, end;
  std::vector<std::size_t> steps;  // those that run forward again, in order
};

struct ExecutionOrder {
  std::vector<std::size_t> forward, backward;  // steps in execution order; backward is empty without training
  std::vector<bool> wanted;                    // by value: its gradient is needed, because a parameter is upstream, in this stage or an earlier one

  // Results of recompute.hpp; empty: nothing is recomputed.
  std::vector<Segment> segments;  // in the order of the backward pass
  std::vector<bool> recomputed;   // by step: its forward pass runs again, on its own or in the step that it is fused into
  std::vector<bool> kept;         // by value: stays in memory for later segments

  bool recomputes(std::size_t step) const { return !segments.empty() && recomputed[step]; }

  /// Whether the value's gradient needs memory: also for the last value, because the loss always writes that gradient.
  template <class T>
  bool has_gradient(const StepGraph<T>& graph, std::size_t value) const {
    return value > 0 && graph.is_made(value) && (wanted[value] || value == graph.last_value());
  }
};

template <class T>
ExecutionOrder order_steps(const StepGraph<T>& graph, bool training);

}  // namespace trireme
