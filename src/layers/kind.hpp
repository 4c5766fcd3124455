// A kind of layer: one entry of the registry, from which decks get their layers and which the deck reference prints. A file in layers/kinds defines the class
// and registers it:
//
//   TRIREME_LAYER(softmax) { return {.help = "What it computes.", .options = {...}, .make = maker_of<Softmax>()}; }
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/maker.hpp"
#include "layers/capabilities.hpp"
#include "layers/options.hpp"
#include "layers/part.hpp"

namespace trireme {

/// Makes a part of a layer for inputs of these whole shapes. Throws usage errors that name the layer.
using LayerMaker = Maker<Layer, const LayerOptions&, const std::vector<Shape>&, const LayerPart&>;

/// For a class L<T> with the constructor (const LayerOptions&, const std::vector<Shape>& inputs, const LayerPart&).
template <template <class> class L>
LayerMaker maker_of() {
  return LayerMaker::of<L>();
}

/// How the channels of the input can be split over ranks.
enum class ChannelRole {
  mixed,      // not at all: each output depends on all channels
  kept,       // each channel of the output depends on the same channel of the input(s); see LayerKind::channel_unit
  flattened,  // the channels of the output are those of the input times its pixels
  contracted  // outputs are sums over input channels: linear, convolutions
};

/// How the pixels of the input can be split over ranks.
enum class PixelRole {
  mixed,      // not at all
  pointwise,  // each pixel of the output depends on the same pixel of the input(s), or on sums that the layer reduces over ranks
  window,     // each pixel of the output depends on a window of the input: LayerKind::reach
  summed      // the output is a sum over the pixels; each rank computes a partial sum
};

struct LayerKind {
  std::string name = {};  // the name in decks; the registry sets it
  std::string help;
  std::vector<OptionSpec> options = {};
  LayerMaker make;
  int inputs = 1;  // number of inputs; 0: two or more
  ChannelRole channels = ChannelRole::mixed;
  PixelRole pixels = PixelRole::mixed;
  /// For windows: the box of the input that a box of the output depends on, within the input, with at least one pixel.
  std::function<Box(const LayerOptions&, const Shape& input, const Box& output)> reach = {};
  /// Kept channels can be split only at multiples of this; empty: anywhere.
  std::function<std::int64_t(const LayerOptions&, const Shape& input)> channel_unit = {};
  /// For contractions: number of groups (grouped convolution); empty: 1.
  std::function<std::int64_t(const LayerOptions&)> groups = {};
};

/// All kinds, in the order of their files.
const std::vector<LayerKind>& layer_kinds();

#define TRIREME_LAYER(kind) LayerKind layer_kind_##kind()

}  // namespace trireme
