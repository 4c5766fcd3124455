// Pass 3, layout: assigns parameters and buffers to offsets in their arenas.
//
//   in   steps, with the parameters and buffers of their layers
//   out  ArenaLayout
//
// The arenas of parameters, gradients and optimizer state are parallel: an offset is valid in all of them. Parameters are in the order of the layers, so
// backward completes the gradient arena from its end to its beginning. Each parameter begins at a cache line; buffers have no gaps. Not collective.
#pragma once

#include "network/steps.hpp"

namespace trireme {

struct Parameter {
  std::string name;     // "conv1.weight"
  Shape shape;          // of this rank's part
  std::int64_t offset;  // in the arenas, elements
  Initial initial;
  Slice slice;  // position in the whole parameter

  const Shape& whole() const { return slice.is_part() ? slice.whole : shape; }
};

struct NetworkBuffer {
  std::string name;  // "batch_norm1.running_mean"
  Shape shape;
  std::int64_t offset;  // in the arena of buffers, elements
  double initial, momentum;
  Slice slice;

  const Shape& whole() const { return slice.is_part() ? slice.whole : shape; }
};

struct ArenaLayout {
  std::vector<Parameter> parameters;
  std::vector<NetworkBuffer> buffers;
  std::vector<std::int64_t> first_parameter;  // by step: offset of its first parameter; -1: none
  std::int64_t parameter_elements = 0;        // including gaps
  std::int64_t buffer_elements = 0;

  std::int64_t parameter_count() const;  // elements, excluding gaps
};

template <class T>
ArenaLayout lay_out_arenas(const StepGraph<T>& graph);

}  // namespace trireme
