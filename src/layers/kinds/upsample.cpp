// upsample, as nn.Upsample with integer scale factors and align_corners = false.
#include "kokkos_kernels/upsample.hpp"

#include "base/error.hpp"
#include "layers/kind.hpp"
#include "layers/pixel_map.hpp"

namespace trireme {

namespace {

UpsampleGeometry geometry_of(const LayerOptions& options, const Shape& input) {
  const int dims = spatial_dims(input, options);
  const std::string& mode = options.text("mode");
  if (mode != "nearest" && mode != "linear") throw usage_error("{}: mode = '{}' is neither nearest nor linear", options.where(), mode);
  UpsampleGeometry g;
  g.channels = input[0];
  g.whole = g.in = spatial_extents(input);
  g.scale = options.extents("scale", dims, 1);
  for (std::size_t a = 0; a < 3; ++a) g.out[a] = g.whole[a] * g.scale[a];
  g.linear = mode == "linear";
  return g;
}

Box reach_of(const LayerOptions& options, const Shape& input, const Box& output) {
  const UpsampleGeometry g = geometry_of(options, input);
  Box reach;
  for (std::size_t a = 0; a < 3; ++a) {
    reach.first[a] = upsample_reach(output.first[a], g.whole[a], g.scale[a], g.linear).low;
    reach.extent[a] = upsample_reach(output.end(a) - 1, g.whole[a], g.scale[a], g.linear).high - reach.first[a];
  }
  return reach;
}

UpsampleGeometry part_geometry(const LayerOptions& options, const Shape& input, const LayerPart& part) {
  UpsampleGeometry g = of_part(geometry_of(options, input), part);
  g.channels = part.in.of(input[0]);
  return g;
}

template <class T>
class Upsample final : public PixelMap<T, UpsampleGeometry, &upsample_forward<T>, &upsample_backward<T>> {
 public:
  Upsample(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part)
      : Upsample::PixelMap(part_geometry(options, inputs[0], part), inputs[0].rank() - 1) {}
};

}  // namespace

TRIREME_LAYER(upsample) {
  return {.help = "Upsampling in 1, 2 or 3 dimensions, as nn.Upsample with align_corners=False.",
          .options = {places_option("scale", "", "Integer scale factor per dimension.", 1),
                      {"mode", "nearest", "nearest, or linear (linear, bilinear or trilinear in PyTorch)."}},
          .make = maker_of<Upsample>(),
          .channels = ChannelRole::kept,
          .pixels = PixelRole::window,
          .reach = reach_of};
}

}  // namespace trireme
