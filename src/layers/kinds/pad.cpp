// pad, as PyTorch's functional.pad and nn.ZeroPad, nn.ReflectionPad, nn.ReplicationPad and nn.CircularPad, with a mode for each dimension.
#include "layers/kind.hpp"
#include "layers/padding.hpp"
#include "layers/pixel_map.hpp"

namespace trireme {

namespace {

PadGeometry geometry_of(const LayerOptions& options, const Shape& input) {
  const int dims = spatial_dims(input, options);
  return pad_geometry(options, input, pad_modes(options, "mode", dims), sides_of(options, dims));
}

PadGeometry part_geometry(const LayerOptions& options, const Shape& input, const LayerPart& part) {
  PadGeometry g = geometry_of(options, input);
  g.channels = part.in.of(input[0]);
  return part.split ? pad_part(g, part.input, part.output, g.channels) : g;
}

template <class T>
class Pad final : public PixelMap<T, PadGeometry, &pad_forward<T>, &pad_backward<T>> {
 public:
  Pad(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part)
      : Pad::PixelMap(part_geometry(options, inputs[0], part), inputs[0].rank() - 1) {}
};

}  // namespace

TRIREME_LAYER(pad) {
  std::vector<OptionSpec> options =
      side_options("Pixels added to each side.", "Pixels added in front; pixels: as `pixels`.", "Pixels added behind; pixels: as `pixels`.");
  options.push_back({"mode", "zeros", pad_modes_help});
  return {.help = "Padding of the pixels, as nn.ZeroPad1d-3d, nn.ReflectionPad1d-3d, nn.ReplicationPad1d-3d and nn.CircularPad1d-3d.",
          .options = options,
          .make = maker_of<Pad>(),
          .channels = ChannelRole::kept,
          .pixels = PixelRole::window,
          .reach = [](const LayerOptions& o, const Shape& input, const Box& output) { return pad_reach(geometry_of(o, input), output); }};
}

}  // namespace trireme
