// adaptive_avg_pool, as PyTorch's nn.AdaptiveAvgPool1d-3d.
#include "kokkos_kernels/adaptive_pool.hpp"
#include "layers/kind.hpp"
#include "layers/pixel_map.hpp"

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

AdaptivePoolGeometry part_geometry(const LayerOptions& options, const Shape& input, const LayerPart& part) {
  AdaptivePoolGeometry g = of_part(geometry_of(options, input), part);
  g.channels = part.in.of(input[0]);
  return g;
}

template <class T>
class AdaptiveAvgPool final : public PixelMap<T, AdaptivePoolGeometry, &adaptive_avg_pool_forward<T>, &adaptive_avg_pool_backward<T>> {
 public:
  AdaptiveAvgPool(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part)
      : AdaptiveAvgPool::PixelMap(part_geometry(options, inputs[0], part), inputs[0].rank() - 1) {}
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
