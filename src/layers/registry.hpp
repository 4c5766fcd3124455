// The kinds of layer that a deck may name: one table, from which layers are made and the deck reference is printed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "layers/layer.hpp"
#include "layers/options.hpp"
#include "layers/part.hpp"

namespace trireme {

/// Makes a part of a layer for inputs of these whole shapes; throws usage errors that name the layer.
template <class T>
using LayerFactory = std::function<std::unique_ptr<Layer<T>>(const LayerOptions&, const std::vector<Shape>& inputs, const LayerPart& part)>;

/// What a kind of layer allows of its input's channels to be split over ranks.
enum class ChannelRole {
  mixed,      // nothing: each output depends on all channels
  kept,       // each channel of the output depends on the same channel of the input(s); see LayerKind::channel_unit
  flattened,  // the channels of the output are those of the input times its pixels
  contracted  // outputs are sums over input channels: linear, convolutions
};

/// What a kind of layer allows of its input's pixels to be split.
enum class PixelRole {
  mixed,      // nothing
  pointwise,  // each pixel of the output depends on the same pixel of the input(s), or on sums that the layer makes over ranks
  window,     // on a window of the input: LayerKind::reach
  summed      // the output is a sum over the pixels, of which each rank makes its part
};

struct LayerKind {
  std::string name;
  std::string help;
  std::vector<OptionSpec> options;
  int inputs = 1;  // how many; 0: two or more
  LayerFactory<float> make_float;
  LayerFactory<double> make_double;
  ChannelRole channels = ChannelRole::mixed;
  PixelRole pixels = PixelRole::mixed;
  /// Windows: the box of the input that a box of the output depends on, within the input, with at least one pixel.
  std::function<Box(const LayerOptions&, const Shape& input, const Box& output)> reach = {};
  /// Kept channels may be cut at multiples of this alone; empty: anywhere.
  std::function<std::int64_t(const LayerOptions&, const Shape& input)> channel_unit = {};
  /// Contractions: groups of channels that do not see each other; empty: 1.
  std::function<std::int64_t(const LayerOptions&)> groups = {};
};

const std::vector<LayerKind>& layer_kinds();
/// The kind that a layer names; a usage error names the nearest one where there is none such.
const LayerKind& kind_of(const LayerSpec& spec);

/// Checks the kind, its options and the number of inputs, then makes the layer, or a part of it.
template <class T>
std::unique_ptr<Layer<T>> make_layer(const LayerSpec& spec, const std::vector<Shape>& inputs, const LayerPart& part = {});

/// The layers' part of the deck reference, Markdown.
std::string layer_reference();

}  // namespace trireme
