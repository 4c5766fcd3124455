// The table of layer kinds (layers/kinds), and the creation of a layer from a line of the deck.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "layers/kind.hpp"

namespace trireme {

/// The kind of this name; otherwise a usage error suggests the nearest name.
const LayerKind& kind_of(const LayerSpec& spec);

/// Checks the kind, its options and the number of inputs, then makes the layer, or a part of it.
template <class T>
std::unique_ptr<Layer<T>> make_layer(const LayerSpec& spec, const std::vector<Shape>& inputs, const LayerPart& part = {});

/// The layers in the deck reference, as Markdown.
std::string layer_reference();

}  // namespace trireme
