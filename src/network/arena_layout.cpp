#include "network/arena_layout.hpp"

#include "network/memory_plan.hpp"

namespace trireme {

std::int64_t ArenaLayout::parameter_count() const {
  std::int64_t total = 0;
  for (const Parameter& parameter : parameters) total += parameter.shape.size();
  return total;
}

template <class T>
ArenaLayout lay_out_arenas(const StepGraph<T>& graph) {
  constexpr std::int64_t alignment = MemoryPlan::alignment / static_cast<std::int64_t>(sizeof(T));
  ArenaLayout layout;
  for (const Step<T>& step : graph.steps) {
    layout.first_parameter.push_back(step.layer->parameters().empty() ? -1 : layout.parameter_elements);
    for (const ParameterSpec& spec : step.layer->parameters()) {
      layout.parameters.push_back({step.name + "." + spec.name, spec.shape, layout.parameter_elements, spec.initial, spec.slice});
      layout.parameter_elements += (spec.shape.size() + alignment - 1) / alignment * alignment;
    }
    for (const BufferSpec& spec : step.layer->buffers()) {
      layout.buffers.push_back({step.name + "." + spec.name, spec.shape, layout.buffer_elements, spec.initial, spec.momentum, spec.slice});
      layout.buffer_elements += spec.shape.size();
    }
  }
  return layout;
}

template ArenaLayout lay_out_arenas(const StepGraph<float>&);
template ArenaLayout lay_out_arenas(const StepGraph<double>&);

}  // namespace trireme
