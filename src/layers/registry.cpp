#include "layers/registry.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"

namespace trireme {

const LayerKind& kind_of(const LayerSpec& spec) {
  const auto& kinds = layer_kinds();
  const auto kind = std::ranges::find(kinds, spec.kind, &LayerKind::name);
  if (kind == kinds.end()) {
    std::vector<std::string> names;
    for (const auto& k : kinds) names.push_back(k.name);
    throw usage_error("{}: unknown layer kind '{}' in 'layer = {}'. Hint: {}Known kinds: {}", spec.called(), spec.kind, spec.text,
                      did_you_mean(spec.kind, names), fmt::join(names, ", "));
  }
  return *kind;
}

template <class T>
std::unique_ptr<Layer<T>> make_layer(const LayerSpec& spec, const std::vector<Shape>& inputs, const LayerPart& part) {
  const LayerKind* const kind = &kind_of(spec);
  const LayerOptions options(spec, kind->options);
  if (kind->inputs > 0 && inputs.size() != static_cast<std::size_t>(kind->inputs))
    throw usage_error("{}: takes {} input, found {} in 'layer = {}'", options.where(), kind->inputs, inputs.size(), spec.text);
  if (kind->inputs == 0 && inputs.size() < 2)
    throw usage_error("{}: takes two or more inputs, found {} in 'layer = {}'. Hint: name them, as in from=conv1,conv2", options.where(), inputs.size(),
                      spec.text);
  return kind->make.template make<T>(options, inputs, part);
}

template std::unique_ptr<Layer<float>> make_layer(const LayerSpec&, const std::vector<Shape>&, const LayerPart&);
template std::unique_ptr<Layer<double>> make_layer(const LayerSpec&, const std::vector<Shape>&, const LayerPart&);

std::string layer_reference() {
  std::string text =
      "## Layers\n\n`layer = KIND [name=NAME] [from=A,B] [option=value ...]` adds a layer. Layers run in the order of their lines. `name` defaults to the kind "
      "and a running number (`conv1`, `conv2`). `from` names the inputs; without it, the input is the previous layer (`input` is the network's input). A size "
      "is one number for all dimensions or one number per dimension, as in `kernel=3,5`. The input determines the number of spatial dimensions (1 to "
      "3).\n\nEvery layer also takes these options (see docs/parallelism.md):\n\n- `tensor=auto|column|row|whole`: how tensor parallelism divides the channels "
      "of a linear or convolution layer. `whole`: not at all.\n- `spatial=auto|whole`: whether spatial parallelism divides the pixels. `whole`: every rank "
      "computes all pixels.\n- `stage=N`: the layer begins stage N of the pipeline; the first stage is 0.\n\n| kind | options (default) | meaning |\n| --- | "
      "--- | --- |\n";
  for (const auto& kind : layer_kinds()) {
    std::string options;
    for (const auto& option : kind.options)
      options += fmt::format("{}`{}` ({}{}): {}", options.empty() ? "" : "<br>", option.name, option.fallback.empty() ? "required" : option.fallback,
                             option.is_integer() ? fmt::format("; {} to {}", option.low, option.high) : "", option.help);
    text += fmt::format("| `{}` | {} | {} |\n", kind.name, options.empty() ? "none" : options, kind.help);
  }
  return text;
}

}  // namespace trireme
