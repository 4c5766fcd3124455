#include "network/executor.hpp"

#include "comm/rank_status.hpp"
#include "kokkos_kernels/elementwise.hpp"

namespace trireme {

template <class T>
Executor<T>::Executor(StepGraph<T>& graph, const ExecutionOrder& order, const ArenaLayout& layout, const ActivationMemory& memory,
                      const ParameterArenas<T>& arenas, std::int64_t samples, int slots)
    : graph_(graph), order_(order), layout_(layout) {
  temporary_ =
      Buffer<std::uint8_t>(Kokkos::view_alloc("trireme::network::temporary", Kokkos::WithoutInitializing), static_cast<std::size_t>(memory.bytes(slots)));
  workspace_ = Buffer<T>(Kokkos::view_alloc("trireme::network::workspace", Kokkos::WithoutInitializing), static_cast<std::size_t>(memory.workspace));
  bind_layers(arenas);
  for (int s = 0; s < slots; ++s) slots_.push_back(bind_slot(s, slots, order, memory, samples));
  lend_states();
}

template <class T>
void Executor<T>::bind_layers(const ParameterArenas<T>& arenas) {
  std::size_t parameter = 0, buffer = 0;
  for (Step<T>& step : graph_.steps) {
    typename Layer<T>::Memory lent;
    arenas.give(lent, *step.layer, parameter, buffer);
    lent.workspace = workspace_;
    step.layer->bind(lent);
  }
}

template <class T>
auto Executor<T>::bind_slot(int number, int slots, const ExecutionOrder& order, const ActivationMemory& memory, std::int64_t samples) const -> Slot {
  // The slots' own memory, then the memory that they share.
  const auto address = [&](std::size_t block) {
    const std::int64_t own = memory.plan.apart(), offset = memory.plan.offset(block);
    return temporary_.data() + offset + (offset < own ? number : slots - 1) * own;
  };
  const auto span_at = [&](std::size_t block, std::size_t value) {
    return block == no_index ? Span<T>() : Span<T>(reinterpret_cast<T*>(address(block)), static_cast<std::size_t>(samples * graph_.shapes[value].size()));
  };
  const auto state_at = [&](std::size_t block) {
    return block == no_index ? Span<std::uint8_t>() : Span<std::uint8_t>(address(block), static_cast<std::size_t>(memory.plan.bytes(block)));
  };
  Slot slot;
  slot.input = span_at(memory.first_value.front(), 0);
  slot.output = span_at(memory.first_value.back(), graph_.last_value());
  slot.output_gradient = span_at(memory.gradient.back(), graph_.last_value());
  for (std::size_t i = 0; i < graph_.steps.size(); ++i) {
    const Step<T>& step = graph_.steps[i];
    Bound& bound = slot.steps.emplace_back();
    bound.state = state_at(memory.state[i]);
    bound.first_state = state_at(memory.first_state[i]);
    bound.has_two_states = memory.state[i] != memory.first_state[i];
    if (step.fused_into) continue;
    bound.out = span_at(memory.value[step.result], step.result);
    bound.first_out = span_at(memory.first_value[step.result], step.result);
    bound.out_gradient = span_at(memory.gradient[step.result], step.result);
    for (std::size_t k = 0; k < step.inputs.size(); ++k) {
      const std::size_t value = step.inputs[k];
      bound.in.push_back(span_at(memory.value[value], value));
      bound.first_in.push_back(span_at(memory.first_value[value], value));
      const Span<T> gradient = order.wanted[value] ? span_at(memory.gradient[value], value) : Span<T>();
      const bool adds = memory.adds(i, k);
      bound.in_gradient.push_back(adds ? span_at(memory.contribution[i][k], value) : gradient);
      bound.accumulate_into.push_back(adds ? gradient : Span<T>());
    }
  }
  return slot;
}

template <class T>
void Executor<T>::lend_states() {
  for (std::size_t i = 0; i < graph_.steps.size(); ++i) graph_.steps[i].layer->lend_state(slots_[slot_].steps[i].state);
}

template <class T>
void Executor<T>::select(int slot) {
  if (slot_ == static_cast<std::size_t>(slot)) return;
  slot_ = static_cast<std::size_t>(slot);
  lend_states();
}

template <class T>
void Executor<T>::forward(const Pass& pass) {
  for (const std::size_t i : order_.forward) {
    Step<T>& step = graph_.steps[i];
    const Bound& bound = slots_[slot_].steps[i];
    now_in_layer(step.name, false);
    if (bound.has_two_states) step.layer->lend_state(bound.first_state);
    step.layer->forward(pass, bound.first_in, bound.first_out);
    if (observer_) observer_(i, false);
  }
}

template <class T>
void Executor<T>::recompute(const Pass& pass, const Segment& segment) {
  for (const std::size_t i : segment.steps) {
    Step<T>& step = graph_.steps[i];
    const Bound& bound = slots_[slot_].steps[i];
    now_in_layer(step.name, false);
    if (bound.has_two_states) step.layer->lend_state(bound.state);
    step.layer->recompute(pass, bound.in, bound.out);
    if (observer_) observer_(i, false);
  }
}

template <class T>
void Executor<T>::backward(const Pass& pass, const Ready& ready) {
  std::size_t segment = 0;
  for (const std::size_t i : order_.backward) {
    if (segment < order_.segments.size() && i < order_.segments[segment].end) recompute(pass, order_.segments[segment++]);
    Step<T>& step = graph_.steps[i];
    const Bound& bound = slots_[slot_].steps[i];
    now_in_layer(step.name, true);
    step.layer->backward(pass, bound.in, bound.out, bound.out_gradient, bound.in_gradient);
    for (std::size_t k = 0; k < step.inputs.size(); ++k)
      if (bound.accumulate_into[k].data() != nullptr)
        add_to<T>(pass.exec, pass.samples * graph_.shapes[step.inputs[k]].size(), bound.in_gradient[k], bound.accumulate_into[k]);
    if (observer_) observer_(i, true);
    if (layout_.first_parameter[i] >= 0) ready(layout_.first_parameter[i]);
  }
}

template class Executor<float>;
template class Executor<double>;

}  // namespace trireme
