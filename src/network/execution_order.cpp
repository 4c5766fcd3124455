#include "network/execution_order.hpp"

#include <algorithm>

#include "parallel/communicates.hpp"

namespace trireme {

namespace {

/// Whether the step lies at the border of a pipeline stage, and the gradient of its value crosses that too.
template <class T>
bool gradient_crosses(const Step<T>& step) {
  const auto* const link = capability<const StageLink>(std::as_const(*step.layer));
  return link != nullptr && link->has_gradient();
}

}  // namespace

template <class T>
ExecutionOrder order_steps(const StepGraph<T>& graph, bool training) {
  ExecutionOrder order;
  order.wanted.assign(graph.shapes.size(), false);
  for (std::size_t i = 0; i < graph.steps.size(); ++i)
    if (graph.steps[i].runs_forward()) order.forward.push_back(i);
  if (!training) return order;

  for (std::size_t value = 1; value < graph.shapes.size(); ++value) {
    if (!graph.is_made(value)) continue;
    const Step<T>& producer = *graph.producer_of(value);
    order.wanted[value] = !producer.layer->parameters().empty() || gradient_crosses(producer) ||
                          std::ranges::any_of(producer.inputs, [&](std::size_t input) { return order.wanted[input]; });
  }
  for (std::size_t i = graph.steps.size(); i-- > 0;) {
    const Step<T>& step = graph.steps[i];
    const bool makes_value = step.layer->output().size() > 0;  // a step that sends a value away makes none
    const bool wanted = makes_value && !step.fused_into && step.fused != Fusion::both && order.has_gradient(graph, step.result);
    if (wanted || gradient_crosses(step)) order.backward.push_back(i);
  }
  return order;
}

template ExecutionOrder order_steps(const StepGraph<float>&, bool);
template ExecutionOrder order_steps(const StepGraph<double>&, bool);

}  // namespace trireme
