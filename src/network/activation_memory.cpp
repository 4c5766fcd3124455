#include "network/activation_memory.hpp"

#include <algorithm>

namespace trireme {

namespace {

template <class T>
class Planner {
 public:
  Planner(const StepGraph<T>& graph, const ExecutionOrder& order, std::int64_t samples, bool training, int slots)
      : graph_(graph), order_(order), samples_(samples), training_(training), slots_(slots), loss_time_(static_cast<int>(graph.steps.size())) {
    set_times();
  }

  ActivationMemory make() {
    place_values();
    memory_.state.assign(graph_.steps.size(), no_index);
    memory_.first_state = memory_.state;
    memory_.gradient.assign(graph_.shapes.size(), no_index);
    if (training_) {
      place_states();
      place_gradients();
      place_contributions();
    }
    if (slots_ > 1 && !order_.segments.empty())
      memory_.plan.solve_apart(loss_time_);
    else
      memory_.plan.solve();
    for (const Step<T>& step : graph_.steps) memory_.workspace = std::max(memory_.workspace, step.layer->needs().workspace);
    return std::move(memory_);
  }

 private:
  void set_times() {
    const std::size_t n = graph_.steps.size();
    backward_times_.resize(n), recompute_times_.assign(n, 0), in_backward_.assign(n, true);
    int time = loss_time_;
    std::size_t next = 0;
    for (std::size_t i = n; i-- > 0;) {
      if (next < order_.segments.size() && order_.segments[next].end == i + 1) {
        for (std::size_t k = order_.segments[next].begin; k < order_.segments[next].end; ++k) recompute_times_[k] = ++time;
        ++next;
      }
      backward_times_[i] = ++time;
    }
    if (order_.segments.empty()) return;
    in_backward_.assign(n, false);
    for (const std::size_t i : order_.backward) in_backward_[i] = true;
  }

  int forward_time(std::size_t step) const { return static_cast<int>(step); }
  int backward_time(std::size_t step) const { return backward_times_[step]; }
  std::int64_t bytes_of(std::size_t value) const { return samples_ * graph_.shapes[value].size() * static_cast<std::int64_t>(sizeof(T)); }

  /// The value that is in the memory of `value` after the forward pass.
  std::size_t final_of(std::size_t value) const {
    while (graph_.consumers[value].size() == 1 && graph_.steps[graph_.consumers[value][0]].in_place) value = graph_.steps[graph_.consumers[value][0]].result;
    return value;
  }

  /// A value lives from its producer to its last reader, which may be a backward pass; if it is recomputed and not kept, it does so twice.
  void place_values() {
    memory_.value.assign(graph_.shapes.size(), no_index);
    memory_.first_value = memory_.value;
    for (std::size_t value = 0; value < graph_.shapes.size(); ++value) {
      if (!graph_.is_made(value)) continue;
      const Step<T>* const producer = graph_.producer_of(value);
      const std::size_t made_by = graph_.producer[value];
      const int born = producer == nullptr ? -1 : forward_time(made_by);
      std::size_t& first = memory_.first_value[value];
      std::size_t& again = memory_.value[value];
      if (producer != nullptr && producer->in_place) {
        first = memory_.first_value[producer->inputs[0]], again = memory_.value[producer->inputs[0]];
      } else {
        first = again = memory_.plan.add(bytes_of(value), born, born);
        if (producer != nullptr && order_.recomputes(made_by) && !order_.kept[final_of(value)])
          again = memory_.plan.add(bytes_of(value), recompute_times_[made_by], recompute_times_[made_by]);
      }
      memory_.plan.extend(first, born);
      if (producer != nullptr && order_.recomputes(made_by)) memory_.plan.extend(again, recompute_times_[made_by]);
      for (const std::size_t consumer : graph_.consumers[value]) {
        memory_.plan.extend(first, forward_time(consumer));
        if (order_.recomputes(consumer)) memory_.plan.extend(again, recompute_times_[consumer]);
        if (training_ && in_backward_[consumer] && graph_.steps[consumer].layer->needs().input_in_backward) memory_.plan.extend(again, backward_time(consumer));
      }
      if (training_ && producer != nullptr && in_backward_[made_by] && producer->layer->needs().output_in_backward)
        memory_.plan.extend(again, backward_time(made_by));
    }
    memory_.plan.extend(memory_.first_value.back(), loss_time_);
  }

  void place_states() {
    for (std::size_t i = 0; i < graph_.steps.size(); ++i) {
      const LayerNeeds& needs = graph_.steps[i].layer->needs();
      const std::int64_t bytes = needs.state + needs.state_per_sample * samples_;
      if (bytes == 0 || graph_.steps[i].fused_into) continue;
      const bool twice = order_.recomputes(i) && !needs.keeps_state;
      memory_.state[i] = memory_.plan.add(bytes, twice ? recompute_times_[i] : forward_time(i), backward_time(i));
      memory_.first_state[i] = twice ? memory_.plan.add(bytes, forward_time(i), forward_time(i)) : memory_.state[i];
    }
  }

  /// A gradient lives from its first contribution, of the last consumer, to the producer's backward pass. Values are visited backward: where the consumer
  /// works in place, the gradient of its output already has the block.
  void place_gradients() {
    for (std::size_t value = graph_.shapes.size(); value-- > 1;) {
      if (!order_.has_gradient(graph_, value)) continue;
      const auto& consumers = graph_.consumers[value];
      const int first = consumers.empty() ? loss_time_ : backward_time(consumers.back()), last = backward_time(graph_.producer[value]);
      const bool shared = consumers.size() == 1 && graph_.steps[consumers[0]].in_place;
      memory_.gradient[value] = shared ? memory_.gradient[graph_.steps[consumers[0]].result] : memory_.plan.add(bytes_of(value), first, last);
      memory_.plan.extend(memory_.gradient[value], last);
    }
  }

  /// All contributions to a gradient but the first are written apart, and added.
  void place_contributions() {
    memory_.contribution.resize(graph_.steps.size());
    for (std::size_t i = 0; i < graph_.steps.size(); ++i) {
      const auto& inputs = graph_.steps[i].inputs;
      memory_.contribution[i].assign(inputs.size(), no_index);
      if (graph_.steps[i].fused_into) continue;
      for (std::size_t k = 0; k < inputs.size(); ++k) {
        const std::size_t value = inputs[k];
        const bool again_here =
            std::ranges::find(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(k), value) != inputs.begin() + static_cast<std::ptrdiff_t>(k);
        if (order_.wanted[value] && (graph_.consumers[value].back() != i || again_here))
          memory_.contribution[i][k] = memory_.plan.add(bytes_of(value), backward_time(i), backward_time(i));
      }
    }
  }

  const StepGraph<T>& graph_;
  const ExecutionOrder& order_;
  std::int64_t samples_;
  bool training_;
  int slots_, loss_time_;
  std::vector<int> backward_times_, recompute_times_;  // by step
  std::vector<bool> in_backward_;                      // by step; all, if nothing is recomputed
  ActivationMemory memory_;
};

}  // namespace

template <class T>
ActivationMemory plan_activations(const StepGraph<T>& graph, const ExecutionOrder& order, std::int64_t samples, bool training, int slots) {
  return Planner<T>(graph, order, samples, training, slots).make();
}

template ActivationMemory plan_activations(const StepGraph<float>&, const ExecutionOrder&, std::int64_t, bool, int);
template ActivationMemory plan_activations(const StepGraph<double>&, const ExecutionOrder&, std::int64_t, bool, int);

}  // namespace trireme
