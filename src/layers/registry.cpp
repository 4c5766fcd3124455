#include "layers/registry.hpp"

#include <algorithm>
#include <type_traits>

#include "base/error.hpp"
#include "base/text.hpp"
#include "layers/kinds.hpp"

namespace trireme {

const std::vector<LayerKind>& layer_kinds() {
  static const std::vector<LayerKind> kinds = [] {
    std::vector<LayerKind> all{linear_kind(),          conv_kind(),       conv_transpose_kind(), max_pool_kind(),      avg_pool_kind(),
                               global_avg_pool_kind(), upsample_kind(),   batch_norm_kind(),     layer_norm_kind(),    group_norm_kind(),
                               instance_norm_kind()};
    std::ranges::move(activation_kinds(), std::back_inserter(all));
    for (auto kind : {softmax_kind(), log_softmax_kind(), flatten_kind(), reshape_kind(), dropout_kind(), scale_kind(), add_kind(), concat_kind()})
      all.push_back(std::move(kind));
    return all;
  }();
  return kinds;
}

const LayerKind& kind_of(const LayerSpec& spec) {
  const auto& kinds = layer_kinds();
  const auto kind = std::ranges::find(kinds, spec.kind, &LayerKind::name);
  if (kind == kinds.end()) {
    std::vector<std::string> names;
    for (const auto& k : kinds) names.push_back(k.name);
    throw usage_error("{}: unknown kind '{}' in 'layer = {}'. Hint: did you mean '{}'? Known kinds: {}", spec.called(), spec.kind, spec.text,
                      nearest(spec.kind, names), fmt::join(names, ", "));
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
  if constexpr (std::is_same_v<T, float>)
    return kind->make_float(options, inputs, part);
  else
    return kind->make_double(options, inputs, part);
}

template std::unique_ptr<Layer<float>> make_layer(const LayerSpec&, const std::vector<Shape>&, const LayerPart&);
template std::unique_ptr<Layer<double>> make_layer(const LayerSpec&, const std::vector<Shape>&, const LayerPart&);

std::string layer_reference() {
  std::string text =
      "## Layers\n\n`layer = KIND [name=NAME] [from=A,B] [option=value ...]`: layers run in order. `name` defaults to the kind and a running number "
      "(`conv1`, `conv2`); `from` names the inputs where they are not the layer before (`input` is the network's input). Sizes take one number for "
      "all dimensions or one for each, as in `kernel=3,5`; the number of spatial dimensions (1 to 3) is the input's.\n\n"
      "Every layer also takes `tensor=auto|column|row|whole` (contractions: how their channels are divided), `spatial=auto|whole` and `stage=N` (begins stage N of the "
      "pipeline, from 0); see docs/parallelism.md.\n\n"
      "| kind | options (default) | meaning |\n| --- | --- | --- |\n";
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
