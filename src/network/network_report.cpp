// What a network tells of itself: work, messages, memory, a line a layer.
//
//   in   the steps, and what the passes decided
//   out  numbers and text for `trireme plan`, profiles and logs
//
// Not collective.
#include <fmt/format.h>

#include <algorithm>

#include "network/network.hpp"

namespace trireme {

namespace {

template <class T>
std::int64_t parameters_of(const Step<T>& step) {
  std::int64_t elements = 0;
  for (const ParameterSpec& spec : step.layer->parameters()) elements += spec.shape.size();
  return elements;
}

/// Kinds of the steps, each with those that it stands for: "conv+relu+max_pool".
template <class T>
std::vector<std::string> fused_kinds(const std::vector<Step<T>>& steps) {
  std::vector<std::string> kinds;
  for (const Step<T>& step : steps) kinds.push_back(step.kind);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].runs_forward()) continue;
    std::size_t host = steps[i].inputs[0] - 1;
    while (!steps[host].runs_forward()) host = steps[host].inputs[0] - 1;
    kinds[host] += "+" + steps[i].kind;
  }
  return kinds;
}

}  // namespace

template <class T>
auto Network<T>::work_of(std::size_t i, bool backward, const std::string& kind, std::int64_t samples) const -> LayerWork {
  const Step<T>& step = steps_.steps[i];
  const LayerNeeds& needs = step.layer->needs();
  std::int64_t elements =
      samples * steps_.shapes[step.result].size() * (backward && needs.output_in_backward ? 2 : 1) + parameters_of(step) * (backward ? 2 : 1);
  std::int64_t products = backward ? 0 : 1;  // passes of multiply-adds
  for (std::size_t k = 0; k < step.inputs.size(); ++k) {
    const std::int64_t input = samples * steps_.shapes[step.inputs[k]].size();
    if (!backward || needs.input_in_backward) elements += input;
    if (backward && order_.wanted[step.inputs[k]]) elements += input * (memory_.adds(i, k) ? 2 : 1), products = 1;
  }
  if (backward && !step.layer->parameters().empty()) ++products;
  const std::int64_t state = trains() ? needs.state + samples * needs.state_per_sample : 0;
  const bool is_free = step.in_place && needs.identity;
  const std::int64_t times = !backward && order_.recomputes(i) ? 2 : 1;
  return {i,
          backward,
          step.name,
          kind,
          {2 * samples * step.layer->multiply_adds() * products * times, is_free ? 0 : (elements * static_cast<std::int64_t>(sizeof(T)) + state) * times}};
}

template <class T>
std::vector<typename Network<T>::LayerWork> Network<T>::work(std::int64_t samples) const {
  const auto kinds = fused_kinds(steps_.steps);
  std::vector<LayerWork> all;
  for (const std::size_t i : order_.forward) all.push_back(work_of(i, false, kinds[i], samples));
  for (const std::size_t i : order_.backward) all.push_back(work_of(i, true, kinds[i], samples));
  return all;
}

template <class T>
std::vector<typename Network<T>::LayerTraffic> Network<T>::traffic() const {
  std::vector<LayerTraffic> all;
  const auto add = [&](std::size_t i, bool backward, bool in_backward) {
    const Step<T>& step = steps_.steps[i];
    const auto* const communicates = capability<const Communicates>(std::as_const(*step.layer));
    if (communicates == nullptr) return;
    for (const Traffic& traffic : communicates->traffic(backward)) all.push_back({step.name, step.kind, in_backward, traffic});
  };
  for (const std::size_t i : order_.forward) add(i, false, false);
  for (const Segment& segment : order_.segments)
    for (const std::size_t i : segment.steps) add(i, false, true);
  for (const std::size_t i : order_.backward) add(i, true, true);
  return all;
}

template <class T>
typename Network<T>::Summary Network<T>::summary() const {
  constexpr auto size = static_cast<std::int64_t>(sizeof(T));
  Summary s{};
  s.parameters = parameter_count();
  s.arena_bytes = layout_.parameter_elements * size;
  s.temporary_bytes = memory_.bytes(slots_);
  s.workspace_bytes = memory_.workspace * size;
  for (const Step<T>& step : steps_.steps) {
    s.multiply_adds += step.layer->multiply_adds();
    if (const auto* const communicates = capability<const Communicates>(std::as_const(*step.layer)))
      s.message_bytes += samples_ * communicates->message_elements() * size;
  }
  return s;
}

template <class T>
std::string Network<T>::describe() const {
  std::size_t width = 14;
  for (const Step<T>& step : steps_.steps) width = std::max(width, step.name.size());
  std::string text = fmt::format("  {:<{}} {:<12} {:>14}\n", "input", width, "", (place_.first_stage() ? ends_.input : graph_.shapes().front()).text());
  for (std::size_t i = 0; i < steps_.steps.size(); ++i) {
    const Step<T>& step = steps_.steps[i];
    const std::int64_t parameters = parameters_of(step);
    text += fmt::format("  {:<{}} {:<12} {:>14}  {}{}\n", step.name, width, step.kind, steps_.shapes[i + 1].text(),
                        parameters ? fmt::format("{} parameters", parameters) : std::string(),
                        !step.runs_forward() ? "(fused)"
                        : step.in_place      ? "(in place)"
                                             : "");
  }
  return text;
}

#define TRIREME_INSTANTIATE(T)                                                                                   \
  template Network<T>::LayerWork Network<T>::work_of(std::size_t, bool, const std::string&, std::int64_t) const; \
  template std::vector<Network<T>::LayerWork> Network<T>::work(std::int64_t) const;                              \
  template std::vector<Network<T>::LayerTraffic> Network<T>::traffic() const;                                    \
  template Network<T>::Summary Network<T>::summary() const;                                                      \
  template std::string Network<T>::describe() const;
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
