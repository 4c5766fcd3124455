// pad, as PyTorch's functional.pad and nn.ZeroPad, nn.ReflectionPad, nn.ReplicationPad and nn.CircularPad, with a mode for each dimension.
#include "layers/kind.hpp"
#include "layers/padding.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

PadGeometry geometry_of(const LayerOptions& options, const Shape& input) {
  const int dims = spatial_dims(input, options);
  return pad_geometry(options, input, pad_modes(options, "mode", dims), sides_of(options, dims));
}

template <class T>
class Pad final : public Layer<T> {
 public:
  Pad(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part) : geometry_(geometry_of(options, inputs[0])) {
    geometry_.channels = part.in.of(inputs[0][0]);
    if (part.split) geometry_ = pad_part(geometry_, part.input, part.output, geometry_.channels);
    this->output_ = spatial_shape(geometry_.channels, geometry_.out, inputs[0].rank() - 1);
    this->needs_.input_in_backward = false;
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    pad_forward<T>(pass.exec, geometry_, pass.samples, inputs[0], output);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr) pad_backward<T>(pass.exec, geometry_, pass.samples, dy, dx[0]);
  }

 private:
  PadGeometry geometry_;
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
