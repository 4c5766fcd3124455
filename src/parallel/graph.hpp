// The whole network that a deck describes: its layers, their inputs, and all shapes. Contains nothing about ranks or memory.
#pragma once

#include <string>
#include <vector>

#include "config/deck.hpp"
#include "layers/registry.hpp"

namespace trireme {

struct GraphNode {
  LayerSpec spec;
  const LayerKind* kind = nullptr;
  std::string name;
  std::vector<std::size_t> inputs;  // values: 0 is the network's input, i + 1 the output of node i
  std::vector<ParameterSpec> parameters;
  std::vector<BufferSpec> buffers;
  std::int64_t multiply_adds = 0;  // per sample
  bool trains = false;             // it or a layer before it has parameters, so the gradient of its output is needed
};

class Graph {
 public:
  /// Usage errors name the layer: unknown kinds and options, shapes that do not fit, outputs that no layer uses.
  explicit Graph(const Deck& deck);

  const std::vector<GraphNode>& nodes() const { return nodes_; }
  /// Whole shapes of the values, for one sample.
  const std::vector<Shape>& shapes() const { return shapes_; }
  /// The nodes that use a value.
  const std::vector<std::size_t>& consumers(std::size_t value) const { return consumers_[value]; }
  bool trains(std::size_t value) const { return value > 0 && nodes_[value - 1].trains; }
  const Shape& output() const { return shapes_.back(); }

 private:
  std::vector<GraphNode> nodes_;
  std::vector<Shape> shapes_;
  std::vector<std::vector<std::size_t>> consumers_;
};

}  // namespace trireme
