#include "parallel/graph.hpp"

#include <algorithm>
#include <map>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/text.hpp"

namespace trireme {

Graph::Graph(const Deck& deck) {
  shapes_.push_back(deck.input_shape());
  if (shapes_[0].size() > most_elements) throw usage_error("model.input = {} has more than {} elements", shapes_[0].text(), most_elements);
  consumers_.emplace_back();
  std::map<std::string, std::size_t> values{{"input", 0}};
  std::map<std::string, int> running;
  for (const LayerSpec& spec : deck.layers()) {
    GraphNode node;
    node.spec = spec;
    node.kind = &kind_of(spec);
    node.name = spec.name.empty() ? spec.kind + std::to_string(++running[spec.kind]) : spec.name;
    if (spec.from.empty()) node.inputs = {shapes_.size() - 1};
    for (const auto& from : spec.from) {
      const auto found = values.find(from);
      if (found == values.end()) {
        std::vector<std::string> names;
        for (const auto& [name, value] : values) names.push_back(name);
        throw usage_error("{}: from = '{}' names no earlier layer. Hint: {}Known here: {}", spec.called(), from, did_you_mean(from, names),
                          fmt::join(names, ", "));
      }
      node.inputs.push_back(found->second);
    }
    std::vector<Shape> inputs;
    for (const std::size_t value : node.inputs) inputs.push_back(shapes_[value]);
    const auto layer = make_layer<float>(spec, inputs);
    if (!values.emplace(node.name, shapes_.size()).second) throw usage_error("{}: the name '{}' is already used by an earlier layer", spec.called(), node.name);
    for (const std::size_t value : node.inputs) consumers_[value].push_back(nodes_.size());
    if (layer->output().size() > most_elements)
      throw usage_error("{}: its output {} has more than {} elements per sample", spec.called(), layer->output().text(), most_elements);
    node.parameters = layer->parameters();
    for (const ParameterSpec& parameter : node.parameters)
      if (parameter.shape.size() > most_elements)
        throw usage_error("{}: its {} {} has more than {} elements", spec.called(), parameter.name, parameter.shape.text(), most_elements);
    node.buffers = layer->buffers();
    node.multiply_adds = layer->multiply_adds();
    node.trains = !node.parameters.empty() || std::ranges::any_of(node.inputs, [&](std::size_t value) { return trains(value); });
    shapes_.push_back(layer->output());
    consumers_.emplace_back();
    nodes_.push_back(std::move(node));
  }
  for (std::size_t value = 1; value + 1 < shapes_.size(); ++value)
    if (consumers_[value].empty())
      throw usage_error("{}: no layer uses its output. Hint: name it in from= of a later layer, or remove it", nodes_[value - 1].spec.called());
}

}  // namespace trireme
