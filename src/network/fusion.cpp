#include "network/fusion.hpp"

namespace trireme {

namespace {

template <class T>
std::optional<Epilogue> epilogue_of(const Step<T>& step) {
  const auto* const epilogue = capability<const IsEpilogue>(std::as_const(*step.layer));
  return epilogue == nullptr ? std::nullopt : epilogue->as_epilogue();
}

template <class T>
Fusion fuse_into(const Step<T>& step, const Epilogue& epilogue) {
  FusesEpilogue* const fuses = capability<FusesEpilogue>(*step.layer);
  return fuses == nullptr ? Fusion::none : fuses->fuse(epilogue);
}

/// The pooling that follows step i at once, with one activation at most, as far as nobody else reads what lies between.
struct Followers {
  std::vector<std::size_t> steps;
  Epilogue epilogue;
};

template <class T>
Followers followers_of(const StepGraph<T>& graph, std::size_t i) {
  Followers found;
  bool activates = false;
  for (std::size_t value = i + 1; found.steps.size() < 2 && graph.consumers[value].size() == 1; value = found.steps.back() + 1) {
    const std::size_t next = graph.consumers[value].front();
    const auto part = epilogue_of(graph.steps[next]);
    if (!part || (part->pools() ? found.epilogue.pools() : activates)) break;
    if (part->pools())
      found.epilogue.window = part->window;
    else
      found.epilogue.slope = part->slope, activates = true;
    found.steps.push_back(next);
  }
  return found;
}

template <class T>
void fuse_pooling(StepGraph<T>& graph) {
  for (std::size_t i = 0; i < graph.steps.size(); ++i) {
    Step<T>& step = graph.steps[i];
    if (step.fused_into) continue;
    const Followers followers = followers_of(graph, i);
    if (!followers.epilogue.pools() || fuse_into(step, followers.epilogue) != Fusion::both) continue;
    graph.producer[i + 1] = no_index;
    for (const std::size_t follower : followers.steps) {
      graph.steps[follower].fused_into = true;
      graph.producer[follower + 1] = no_index;
    }
    step.result = followers.steps.back() + 1;
    graph.producer[step.result] = i;
  }
}

/// Nobody else reads the input, and its producer does not look at it again.
template <class T>
bool can_work_in_place(const StepGraph<T>& graph, const Step<T>& step, bool training) {
  if (step.inputs.empty() || step.fused_into || !step.layer->needs().in_place) return false;
  const std::size_t value = step.inputs[0];
  if (graph.consumers[value].size() != 1) return false;
  const Step<T>* const producer = graph.producer_of(value);
  return !training || producer == nullptr || !producer->layer->needs().output_in_backward;
}

}  // namespace

template <class T>
void fuse(StepGraph<T>& graph, bool training) {
  fuse_pooling(graph);
  for (Step<T>& step : graph.steps) {
    step.in_place = can_work_in_place(graph, step, training);
    const Step<T>* const producer = step.in_place ? graph.producer_of(step.inputs[0]) : nullptr;
    if (producer == nullptr) continue;
    if (const auto epilogue = epilogue_of(step); epilogue && !epilogue->pools()) step.fused = fuse_into(*producer, *epilogue);
  }
}

template void fuse(StepGraph<float>&, bool);
template void fuse(StepGraph<double>&, bool);

}  // namespace trireme
