// The executor: runs the steps of a network, forward and backward, in memory that is bound once. A pass allocates nothing.
//
//   in   the steps and the results of the passes over them: execution order, arena layout, plan of temporary memory
//   out  the network's output, and the gradients of its parameters
//
// forward() and backward() are collective over the ranks that share a batch's samples, if layers communicate.
#pragma once

#include <functional>

#include "network/activation_memory.hpp"
#include "network/parameter_arenas.hpp"

namespace trireme {

template <class T>
class Executor {
 public:
  /// Called after each step with parameters: the gradients from `offset` to the end of the arena are final when the launched kernels end.
  using Ready = std::function<void(std::int64_t offset)>;
  /// Called after the launch of each step, for profiles.
  using Observer = std::function<void(std::size_t step, bool backward)>;

  /// All arguments except `samples` and `slots` must outlive the executor.
  Executor(StepGraph<T>& graph, const ExecutionOrder& order, const ArenaLayout& layout, const ActivationMemory& memory, const ParameterArenas<T>& arenas,
           std::int64_t samples, int slots);

  Span<T> input() const { return slots_[slot_].input; }
  Span<T> output() const { return slots_[slot_].output; }
  Span<T> output_gradient() const { return slots_[slot_].output_gradient; }
  /// Selects the temporary memory of the next passes.
  void select(int slot);

  void forward(const Pass& pass);
  void backward(const Pass& pass, const Ready& ready);
  void observe(Observer observer) { observer_ = std::move(observer); }

 private:
  /// The memory of a step.
  struct Bound {
    std::vector<Span<const T>> in;
    std::vector<Span<T>> in_gradient;      // empty: not needed
    std::vector<Span<T>> accumulate_into;  // per input: add in_gradient to this memory afterwards; empty: no addition
    Span<T> out, out_gradient;
    Span<std::uint8_t> state;
    // In the forward pass, if it is recomputed later:
    std::vector<Span<const T>> first_in;
    Span<T> first_out;
    Span<std::uint8_t> first_state;
    bool has_two_states = false;
  };
  struct Slot {
    std::vector<Bound> steps;
    Span<T> input, output, output_gradient;
  };

  void bind_layers(const ParameterArenas<T>& arenas);
  Slot bind_slot(int slot, int slots, const ExecutionOrder& order, const ActivationMemory& memory, std::int64_t samples) const;
  void lend_states();
  void recompute(const Pass& pass, const Segment& segment);

  StepGraph<T>& graph_;
  const ExecutionOrder& order_;
  const ArenaLayout& layout_;
  Buffer<T> workspace_;
  Buffer<std::uint8_t> temporary_;
  std::vector<Slot> slots_;
  std::size_t slot_ = 0;
  Observer observer_;
};

}  // namespace trireme
