// What a network tells of itself: work, messages, memory, a line a layer.
#include <algorithm>

#include <fmt/format.h>

#include "network/network.hpp"

namespace trireme {

template <class T>
std::vector<typename Network<T>::LayerWork> Network<T>::work(std::int64_t samples) const {
  const auto bytes = [&](std::int64_t elements) { return elements * static_cast<std::int64_t>(sizeof(T)); };
  std::vector<std::string> kinds;  // with those that each stands for
  for (const Step& step : layers_) kinds.push_back(step.kind);
  for (std::size_t i = 0; i < layers_.size(); ++i)
    if (!runs_forward(layers_[i])) {
      std::size_t host = layers_[i].inputs[0] - 1;
      while (!runs_forward(layers_[host])) host = layers_[host].inputs[0] - 1;
      kinds[host] += "+" + layers_[i].kind;
    }
  const auto is_free = [](const Step& step) { return step.in_place && (step.kind == "reshape" || step.kind == "flatten"); };
  std::vector<LayerWork> all;
  const auto parameters_of = [](const Step& step) {
    std::int64_t elements = 0;
    for (const ParameterSpec& spec : step.layer->parameters()) elements += spec.shape.size();
    return elements;
  };
  const auto state_of = [&](const LayerNeeds& needs) { return use_ == Use::training ? needs.state + samples * needs.state_per_sample : 0; };
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Step& step = layers_[i];
    if (!runs_forward(step)) continue;
    std::int64_t elements = samples * shapes_[step.result].size() + parameters_of(step);
    for (const std::size_t value : step.inputs) elements += samples * shapes_[value].size();
    all.push_back({i, false, step.name, kinds[i], {2 * samples * step.layer->multiply_adds(), is_free(step) ? 0 : bytes(elements) + state_of(step.layer->needs())}});
  }
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const Step& step = layers_[i];
    if (!runs_backward(i)) continue;
    const LayerNeeds& needs = step.layer->needs();
    std::int64_t elements = samples * shapes_[step.result].size() * (needs.output_in_backward ? 2 : 1) + 2 * parameters_of(step), directions = 0;
    for (std::size_t k = 0; k < step.inputs.size(); ++k) {
      const std::int64_t input = samples * shapes_[step.inputs[k]].size();
      if (needs.input_in_backward) elements += input;
      if (wanted_[step.inputs[k]]) elements += input * (extra_[i][k] != none ? 2 : 1), directions = 1;
    }
    if (!step.layer->parameters().empty()) ++directions;
    all.push_back({i, true, step.name, kinds[i], {2 * samples * step.layer->multiply_adds() * directions, is_free(step) ? 0 : bytes(elements) + state_of(needs)}});
  }
  return all;
}

template <class T>
std::vector<typename Network<T>::LayerTraffic> Network<T>::traffic() const {
  std::vector<LayerTraffic> all;
  const auto add = [&](std::size_t i, bool backward) {
    for (const Traffic& traffic : layers_[i].layer->traffic(backward)) all.push_back({layers_[i].name, layers_[i].kind, backward, traffic});
  };
  for (std::size_t i = 0; i < layers_.size(); ++i)
    if (runs_forward(layers_[i])) add(i, false);
  if (use_ == Use::training)
    for (std::size_t i = layers_.size(); i-- > 0;)
      if (runs_backward(i)) add(i, true);
  return all;
}

template <class T>
typename Network<T>::Summary Network<T>::summary() const {
  Summary s{};
  s.parameters = parameter_count();
  s.arena_bytes = arena_size_ * static_cast<std::int64_t>(sizeof(T));
  s.temporary_bytes = memory_.total() * static_cast<std::int64_t>(slots_.size());
  s.workspace_bytes = workspace_elements_ * static_cast<std::int64_t>(sizeof(T));
  for (const Step& step : layers_) {
    s.multiply_adds += step.layer->multiply_adds();
    s.message_bytes += samples_ * step.layer->message_elements() * static_cast<std::int64_t>(sizeof(T));
  }
  return s;
}

template <class T>
std::string Network<T>::describe() const {
  std::size_t width = 14;
  for (const Step& step : layers_) width = std::max(width, step.name.size());
  std::string text = fmt::format("  {:<{}} {:<12} {:>14}\n", "input", width, "", (place_.first_stage() ? shapes_.front() : graph_.shapes().front()).text());
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Step& step = layers_[i];
    std::int64_t parameters = 0;
    for (const auto& p : step.layer->parameters()) parameters += p.shape.size();
    text += fmt::format("  {:<{}} {:<12} {:>14}  {}{}\n", step.name, width, step.kind, shapes_[i + 1].text(),
                        parameters ? fmt::format("{} parameters", parameters) : std::string(), step.fused || step.absorbed ? "(fused)" : step.in_place ? "(in place)" : "");
  }
  return text;
}

#define TRIREME_INSTANTIATE(T)                                                                     \
  template std::vector<Network<T>::LayerWork> Network<T>::work(std::int64_t) const;                \
  template std::vector<Network<T>::LayerTraffic> Network<T>::traffic() const;                      \
  template Network<T>::Summary Network<T>::summary() const;                                        \
  template std::string Network<T>::describe() const;
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
