// The kinds of layer that a deck may name: one table, from which layers are made and the deck reference is printed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "layers/layer.hpp"
#include "layers/options.hpp"

namespace trireme {

/// Makes a layer for inputs of these shapes; throws usage errors that name the layer.
template <class T>
using LayerFactory = std::function<std::unique_ptr<Layer<T>>(const LayerOptions&, const std::vector<Shape>& inputs)>;

struct LayerKind {
  std::string name;
  std::string help;
  std::vector<OptionSpec> options;
  int inputs = 1;  // how many; 0: two or more
  LayerFactory<float> make_float;
  LayerFactory<double> make_double;
};

const std::vector<LayerKind>& layer_kinds();

/// Checks the kind, its options and the number of inputs, then makes the layer.
template <class T>
std::unique_ptr<Layer<T>> make_layer(const LayerSpec& spec, const std::vector<Shape>& inputs);

/// The layers' part of the deck reference, Markdown.
std::string layer_reference();

}  // namespace trireme
