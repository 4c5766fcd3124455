// Layers whose output pixels come from input pixels by a kernel that takes a geometry; they have no parameters and no state.
#pragma once

#include "layers/layer.hpp"
#include "layers/spatial.hpp"

namespace trireme {

/// `whole` with the input and output pixels of a part. Geometry: with in, in_first, out and out_first.
template <class Geometry>
Geometry of_part(const Geometry& whole, const LayerPart& part) {
  Geometry g = whole;
  if (part.split) {
    g.in = part.input.extent, g.in_first = part.input.first;
    g.out = part.output.extent, g.out_first = part.output.first;
  }
  return g;
}

/// forward_kernel(exec, geometry, samples, x, y) and backward_kernel(exec, geometry, samples, dy, dx).
template <class T, class Geometry, auto forward_kernel, auto backward_kernel>
class PixelMap : public Layer<T> {
 public:
  PixelMap(const Geometry& geometry, int dims) : geometry_(geometry) {
    this->output_ = spatial_shape(geometry.channels, geometry.out, dims);
    this->needs_.input_in_backward = false;
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    forward_kernel(pass.exec, geometry_, pass.samples, inputs[0], output);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr) backward_kernel(pass.exec, geometry_, pass.samples, dy, dx[0]);
  }

 private:
  Geometry geometry_;
};

}  // namespace trireme
