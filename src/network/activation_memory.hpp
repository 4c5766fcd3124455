// Pass 4, memory: assigns temporary memory to values, gradients and layer states for their lifetimes.
//
//   in   steps after fusion, execution order, maximum number of samples per pass
//   out  ActivationMemory: a block of the plan for each of them. Blocks with disjoint lifetimes share memory (memory_plan.hpp).
//
// Time counts steps: step i of n runs forward at time i, the loss is at time n, and the backward pass follows, with the recomputation of each segment before
// the backward passes of its steps. A value that is recomputed has two blocks: one until its last reader in the forward pass, one from the recomputation on.
//
// Each micro-batch in flight has its own memory (a slot). If segments are recomputed in several slots, only what is alive between the passes is their own.
// Not collective.
#pragma once

#include "network/execution_order.hpp"
#include "network/memory_plan.hpp"

namespace trireme {

struct ActivationMemory {
  MemoryPlan plan;
  // Numbers of blocks; no_index: no block.
  std::vector<std::size_t> value, gradient;            // by value; value: in the recomputation and in backward
  std::vector<std::size_t> state;                      // by step: state of a layer, from its last forward pass to backward
  std::vector<std::size_t> first_value, first_state;   // the same in the forward pass; they differ where it is recomputed
  std::vector<std::vector<std::size_t>> contribution;  // by step and input: memory of the second and further contributions to a gradient
  std::int64_t workspace = 0;                          // scratch memory of all layers, elements

  /// Bytes of all slots.
  std::int64_t bytes(int slots) const { return plan.apart() * slots + (plan.total() - plan.apart()); }

  bool adds(std::size_t step, std::size_t input) const { return !contribution.empty() && contribution[step][input] != no_index; }
};

/// `slots`: micro-batches in flight.
template <class T>
ActivationMemory plan_activations(const StepGraph<T>& graph, const ExecutionOrder& order, std::int64_t samples, bool training, int slots = 1);

}  // namespace trireme
