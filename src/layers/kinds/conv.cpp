// conv: cross-correlation in one to three dimensions, as nn.Conv1d, nn.Conv2d and nn.Conv3d.
#include "kokkos_kernels/conv.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "layers/kind.hpp"
#include "layers/padding.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

ConvGeometry geometry_of(const LayerOptions& options, const Shape& input) {
  const int dims = spatial_dims(input, options);
  ConvGeometry g = taps_of(options, dims, input[0], options.integer("out"));
  g.in = spatial_extents(input);
  for (std::size_t a = 0; a < 3; ++a) {
    g.out[a] = conv_extent(g.in[a], g.kernel[a], g.stride[a], g.padding[a], g.dilation[a]);
    if (g.out[a] < 1)
      throw usage_error("{}: kernel {} (dilation {}) is larger than the input {} with padding {}", options.where(), g.kernel[a], g.dilation[a], g.in[a],
                        g.padding[a]);
  }
  check_size(g, options);
  return g;
}

/// The padding in front of a convolution with padding_mode: the dimensions whose mode is not zeros. Without any, the convolution pads by itself.
struct Padding {
  bool any = false;
  PadGeometry geometry;  // of the whole sample

  bool pads(std::size_t a) const { return any && geometry.mode[a] != PadMode::zeros; }
};

Padding padding_of(const LayerOptions& options, const Shape& input, const ConvGeometry& g) {
  const auto modes = pad_modes(options, "padding_mode", input.rank() - 1);
  Sides sides{g.padding, g.padding};
  Padding padding;
  for (std::size_t a = 0; a < 3; ++a) {
    if (modes[a] == PadMode::zeros) sides.before[a] = sides.after[a] = 0;
    padding.any = padding.any || sides.before[a] > 0;
  }
  padding.geometry = pad_geometry(options, input, modes, sides);
  for (std::size_t a = 0; a < 3; ++a)
    if (sides.before[a] == 0) padding.geometry.mode[a] = PadMode::zeros;
  return padding;
}

/// The convolution of the padded sample.
ConvGeometry padded(ConvGeometry g, const Padding& padding) {
  for (std::size_t a = 0; a < 3; ++a)
    if (padding.pads(a)) g.in[a] = padding.geometry.out[a], g.padding[a] = 0;
  return g;
}

/// The box of the padded sample that a box of the output reads along padded dimensions; along others, that of `input`.
Box padded_reach(const ConvGeometry& g, const Padding& padding, const Box& input, const Box& output) {
  Box reach = input;
  for (std::size_t a = 0; a < 3; ++a)
    if (padding.pads(a)) {
      reach.first[a] = output.first[a] * g.stride[a];
      reach.extent[a] = (output.extent[a] - 1) * g.stride[a] + (g.kernel[a] - 1) * g.dilation[a] + 1;
    }
  return reach;
}

/// The convolution that computes a rank's part of the output from the part of the input that the rank holds. Padding may be negative: the input may begin
/// before the first element that is read.
ConvGeometry part_of(const ConvGeometry& whole, const LayerPart& part) {
  ConvGeometry g = whole;
  if (part.split)
    for (std::size_t a = 0; a < 3; ++a) {
      g.in[a] = part.input.extent[a];
      g.out[a] = part.output.extent[a];
      g.padding[a] = part.input.first[a] - (part.output.first[a] * g.stride[a] - g.padding[a]);
    }
  g.in_channels = part.in.of(whole.in_channels);
  g.out_channels = part.out.of(whole.out_channels);
  if (whole.groups > 1) g.groups = whole.groups * g.out_channels / whole.out_channels;
  return g;
}

Box reach_of(const LayerOptions& options, const Shape& input, const Box& output) {
  const ConvGeometry g = geometry_of(options, input);
  Box reach;
  for (std::size_t a = 0; a < 3; ++a) {
    const std::int64_t from = output.first[a] * g.stride[a] - g.padding[a],
                       to = (output.end(a) - 1) * g.stride[a] - g.padding[a] + (g.kernel[a] - 1) * g.dilation[a] + 1;
    reach.first[a] = std::clamp<std::int64_t>(from, 0, g.in[a] - 1);
    reach.extent[a] = std::clamp<std::int64_t>(to, reach.first[a] + 1, g.in[a]) - reach.first[a];
  }
  const Padding padding = padding_of(options, input, g);
  return padding.any ? pad_reach(padding.geometry, padded_reach(g, padding, reach, output)) : reach;
}

template <class T>
class Conv final : public Layer<T>, public FusesEpilogue, public SplitBackward<T> {
 public:
  Conv(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& of_sample) : plan_(ConvGeometry()) {
    const ConvGeometry whole = geometry_of(options, inputs[0]);
    const Padding padding = padding_of(options, inputs[0], whole);
    LayerPart part = of_sample;
    pads_ = padding.any;
    padding_ = padding.geometry;
    padding_.channels = part.in.of(whole.in_channels);
    if (pads_ && part.split) {
      padding_ = pad_part(padding_, part.input, padded_reach(whole, padding, part.input, part.output), padding_.channels);
      part.input = Box{padding_.out_first, padding_.out};
    }
    if (pads_) check_size(padded(whole, padding), options);
    plan_ = ConvPlan<T>(part_of(padded(whole, padding), part));
    const ConvGeometry& g = plan_.geometry();
    const int dims = inputs[0].rank() - 1;
    this->output_ = spatial_shape(g.out_channels, g.out, dims);
    this->multiply_adds_ = g.multiply_adds();
    const auto weight = [&](const ConvGeometry& of) { return spatial_shape(of.in_channels / of.groups, g.kernel, dims).with_first(of.out_channels); };
    const Initial initial{Initial::Kind::uniform, 1 / std::sqrt(static_cast<double>(whole.in_channels / whole.groups * g.taps()))};
    this->parameters_ = {{"weight", weight(g), initial, slice_of(weight(whole), {part.out.first, whole.groups == 1 ? part.in.first : 0})}};
    if (options.boolean("bias") && part.adds_bias)
      this->parameters_.push_back({"bias", Shape{g.out_channels}, initial, slice_of(Shape{whole.out_channels}, {part.out.first})});
  }

  void plan_for(std::int64_t samples, ComputeType operands) override {
    samples_ = samples;
    plan_ = ConvPlan<T>(plan_.geometry(), plan_.tail(), operands);
    set_workspace();
  }
  Fusion fuse(const Epilogue& tail) override {
    if (tail.is_relu() && !plan_.tail().pools()) {
      plan_ = ConvPlan<T>(plan_.geometry(), tail, plan_.operands());
      return Fusion::forward;
    }
    if (!ConvPlan<T>::has_pooling || !tail.pools()) return Fusion::none;
    plan_ = ConvPlan<T>(plan_.geometry(), tail, plan_.operands());
    this->output_ = spatial_shape(plan_.geometry().out_channels, tail.extent(plan_.geometry()), this->output_.rank() - 1);
    this->needs_.output_in_backward = tail.slope != 1;
    this->needs_.state_per_sample = this->output_.size();
    set_workspace();
    return Fusion::both;
  }

  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    plan_.forward(pass.exec, pass.samples, with_padding(pass, inputs[0]), this->memory_.parameters[0], bias(this->memory_.parameters), output,
                  pass.training ? this->memory_.state : Span<std::uint8_t>(), this->memory_.workspace);
  }

  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T> output, Span<const T> dy,
                std::span<const Span<T>> input_gradients) override {
    backward_parameters(pass, inputs[0], output, dy);
    if (input_gradients[0].data() != nullptr) backward_input(pass, output, dy, input_gradients[0]);
  }
  void backward_input(const Pass& pass, Span<const T> output, Span<const T> dy, Span<T> dx) override {
    const Span<T> to = pads_ ? scratch(pass.samples) : dx;
    plan_.backward_data(pass.exec, pass.samples, {.dy = dy, .y = output, .index = this->memory_.state}, this->memory_.parameters[0], to,
                        this->memory_.workspace);
    if (pads_) pad_backward<T>(pass.exec, padding_, pass.samples, to, dx);
  }
  void backward_parameters(const Pass& pass, Span<const T> x, Span<const T> output, Span<const T> dy) override {
    plan_.backward_weights(pass.exec, pass.samples, with_padding(pass, x), {.dy = dy, .y = output, .index = this->memory_.state}, this->memory_.gradients[0],
                           bias(this->memory_.gradients), this->memory_.workspace);
  }

 private:
  Span<T> bias(const std::vector<Span<T>>& from) const { return from.size() == 2 ? from[1] : Span<T>(); }

  // Behind the workspace of the plan: the padded samples of a pass, or their gradient.
  std::int64_t scratch_begin() const { return (plan_.workspace(samples_) + 15) / 16 * 16; }
  void set_workspace() { this->needs_.workspace = pads_ ? scratch_begin() + samples_ * padding_.out_pixels() * padding_.channels : plan_.workspace(samples_); }
  Span<T> scratch(std::int64_t samples) const {
    return slice<T>(this->memory_.workspace, scratch_begin(), samples * padding_.out_pixels() * padding_.channels);
  }
  Span<const T> with_padding(const Pass& pass, Span<const T> x) const {
    if (!pads_) return x;
    const Span<T> to = scratch(pass.samples);
    pad_forward<T>(pass.exec, padding_, pass.samples, x, to);
    return to;
  }

  ConvPlan<T> plan_;
  bool pads_ = false;    // padding_mode other than zeros
  PadGeometry padding_;  // what it pads in front of the convolution
  std::int64_t samples_ = 0;
};

}  // namespace

TRIREME_LAYER(conv) {
  return {.help = "Convolution in 1, 2 or 3 dimensions, as nn.Conv1d-3d. The initial values are PyTorch's default distribution.",
          .options = {channels_option("out", "", "Number of output channels."),
                      places_option("kernel", "", "Kernel size.", 1),
                      places_option("stride", "1", "Stride.", 1),
                      places_option("padding", "0", "Padding: adds this many pixels to each side of the input.", 0),
                      places_option("dilation", "1", "Spacing between kernel elements.", 1),
                      channels_option("groups", "1", "Number of groups (grouped convolution)."),
                      {"bias", "true", "Add a learned bias."},
                      {"padding_mode", "zeros", pad_modes_help}},
          .make = maker_of<Conv>(),
          .channels = ChannelRole::contracted,
          .pixels = PixelRole::window,
          .reach = reach_of,
          .groups = [](const LayerOptions& o) { return o.integer("groups"); }};
}

}  // namespace trireme
