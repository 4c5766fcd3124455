// adaptive_avg_pool, as PyTorch's nn.AdaptiveAvgPool1d-3d.
#include "kokkos_kernels/adaptive_pool.hpp"
#include "layers/kind.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

AdaptivePoolGeometry geometry_of(const LayerOptions& options, const Shape& input) {
  const int dims = spatial_dims(input, options);
  AdaptivePoolGeometry g;
  g.channels = input[0];
  g.whole_in = g.in = spatial_extents(input);
  g.whole_out = g.out = options.extents("out", dims, 1);
  return g;
}

Box reach_of(const LayerOptions& options, const Shape& input, const Box& output) {
  const AdaptivePoolGeometry g = geometry_of(options, input);
  Box reach;
  for (std::size_t a = 0; a < 3; ++a) {
    reach.first[a] = adaptive_window(output.first[a], g.whole_in[a], g.whole_out[a]).low;
    reach.extent[a] = adaptive_window(output.end(a) - 1, g.whole_in[a], g.whole_out[a]).high - reach.first[a];
  }
  return reach;
}

template <class T>
class AdaptiveAvgPool final : public Layer<T> {
 public:
  AdaptiveAvgPool(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part) : geometry_(geometry_of(options, inputs[0])) {
    geometry_.channels = part.in.of(inputs[0][0]);
    if (part.split) {
      geometry_.in = part.input.extent, geometry_.in_first = part.input.first;
      geometry_.out = part.output.extent, geometry_.out_first = part.output.first;
    }
    this->output_ = spatial_shape(geometry_.channels, geometry_.out, inputs[0].rank() - 1);
    this->needs_.input_in_backward = false;
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    adaptive_avg_pool_forward<T>(pass.exec, geometry_, pass.samples, inputs[0], output);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr) adaptive_avg_pool_backward<T>(pass.exec, geometry_, pass.samples, dy, dx[0]);
  }

 private:
  AdaptivePoolGeometry geometry_;
};

}  // namespace

TRIREME_LAYER(adaptive_avg_pool) {
  return {.help = "Mean of each of `out` windows, which cover the input evenly, as nn.AdaptiveAvgPool1d-3d. For one window, global_avg_pool is faster.",
          .options = {places_option("out", "", "Output size.", 1)},
          .make = maker_of<AdaptiveAvgPool>(),
          .channels = ChannelRole::kept,
          .pixels = PixelRole::window,
          .reach = reach_of};
}

}  // namespace trireme
