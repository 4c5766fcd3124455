// conv: cross-correlation in one to three dimensions, as PyTorch's nn.Conv1d, Conv2d and Conv3d.
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "kokkos_kernels/conv.hpp"
#include "layers/kinds.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

ConvGeometry geometry_of(const LayerOptions& options, const Shape& input) {
  const int dims = spatial_dims(input, options);
  ConvGeometry g;
  g.in_channels = input[0];
  g.out_channels = options.integer("out");
  g.groups = options.integer("groups");
  if (g.in_channels % g.groups != 0 || g.out_channels % g.groups != 0)
    throw usage_error("{}: groups = {} must divide both the {} input channels and the {} output channels", options.where(), g.groups, g.in_channels,
                      g.out_channels);
  g.in = spatial_extents(input);
  g.kernel = options.extents("kernel", dims, 1);
  g.stride = options.extents("stride", dims, 1);
  g.padding = options.extents("padding", dims, 0);
  g.dilation = options.extents("dilation", dims, 1);
  for (std::size_t a = 0; a < 3; ++a) {
    g.out[a] = conv_extent(g.in[a], g.kernel[a], g.stride[a], g.padding[a], g.dilation[a]);
    if (g.out[a] < 1)
      throw usage_error("{}: kernel {} (dilation {}) is larger than the input {} with padding {}", options.where(), g.kernel[a], g.dilation[a], g.in[a],
                        g.padding[a]);
  }
  check_size(g, options);
  return g;
}

/// The convolution that makes a part of the output from what is at hand of the input. Padding may be negative: the input may begin before the first
/// place that is read.
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
  return reach;
}

template <class T>
class Conv final : public Layer<T> {
 public:
  Conv(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part) : plan_(part_of(geometry_of(options, inputs[0]), part)) {
    const ConvGeometry whole = geometry_of(options, inputs[0]);
    const ConvGeometry& g = plan_.geometry();
    const int dims = inputs[0].rank() - 1;
    this->output_ = spatial_shape(g.out_channels, g.out, dims);
    const auto weight = [&](const ConvGeometry& of) { return spatial_shape(of.in_channels / of.groups, g.kernel, dims).with_first(of.out_channels); };
    const Initial initial{Initial::Kind::uniform, 1 / std::sqrt(static_cast<double>(whole.in_channels / whole.groups * g.taps()))};
    this->parameters_ = {{"weight", weight(g), initial, slice_of(weight(whole), {part.out.first, whole.groups == 1 ? part.in.first : 0})}};
    if (options.boolean("bias") && part.adds_bias)
      this->parameters_.push_back({"bias", Shape{g.out_channels}, initial, slice_of(Shape{whole.out_channels}, {part.out.first})});
  }

  std::int64_t multiply_adds() const override { return plan_.geometry().multiply_adds(); }
  void plan_for(std::int64_t samples, Operands operands) override {
    samples_ = samples;
    plan_ = ConvPlan<T>(plan_.geometry(), plan_.tail(), operands);
    this->needs_.workspace = plan_.workspace(samples);
  }
  bool fuse_relu() override {
    plan_ = ConvPlan<T>(plan_.geometry(), {.slope = 0}, plan_.operands());
    return true;
  }
  bool fuse_tail(const ConvTail& tail) override {
    if (!ConvPlan<T>::has_pooling || !tail.pools()) return false;
    plan_ = ConvPlan<T>(plan_.geometry(), tail, plan_.operands());
    this->output_ = spatial_shape(plan_.geometry().out_channels, tail.extent(plan_.geometry()), this->output_.rank() - 1);
    this->needs_.output_in_backward = tail.slope != 1;
    this->needs_.state_per_sample = this->output_.size();
    this->needs_.workspace = plan_.workspace(samples_);
    return true;
  }

  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    plan_.forward(pass.exec, pass.samples, inputs[0], this->memory_.parameters[0], bias(this->memory_.parameters), output,
                  pass.training ? this->memory_.state : Span<std::uint8_t>(), this->memory_.workspace);
  }

  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T> output, Span<const T> dy,
                std::span<const Span<T>> input_gradients) override {
    backward_parameters(pass, inputs[0], output, dy);
    if (input_gradients[0].data() != nullptr) backward_input(pass, output, dy, input_gradients[0]);
  }
  bool backward_in_two() const override { return true; }
  void backward_input(const Pass& pass, Span<const T> output, Span<const T> dy, Span<T> dx) override {
    plan_.backward_data(pass.exec, pass.samples, {.dy = dy, .y = output, .index = this->memory_.state}, this->memory_.parameters[0], dx,
                        this->memory_.workspace);
  }
  void backward_parameters(const Pass& pass, Span<const T> x, Span<const T> output, Span<const T> dy) override {
    plan_.backward_weights(pass.exec, pass.samples, x, {.dy = dy, .y = output, .index = this->memory_.state}, this->memory_.gradients[0],
                           bias(this->memory_.gradients), this->memory_.workspace);
  }

 private:
  Span<T> bias(const std::vector<Span<T>>& from) const { return from.size() == 2 ? from[1] : Span<T>(); }

  ConvPlan<T> plan_;
  std::int64_t samples_ = 0;
};

}  // namespace

LayerKind conv_kind() {
  return {"conv",
          "Convolution in 1, 2 or 3 dimensions, as nn.Conv1d, Conv2d, Conv3d.",
          {channels_option("out", "", "channels of the output"),
           places_option("kernel", "", "size of the kernel", 1),
           places_option("stride", "1", "step between outputs", 1),
           places_option("padding", "0", "zeros added on both sides", 0),
           places_option("dilation", "1", "distance between the kernel's taps", 1),
           channels_option("groups", "1", "groups of channels that do not see each other"),
           {"bias", "true", "whether a bias is added"}},
          1,
          [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Conv<float>>(o, s, p); },
          [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Conv<double>>(o, s, p); },
          ChannelRole::contracted,
          PixelRole::window,
          reach_of,
          {},
          [](const LayerOptions& o) { return o.integer("groups"); }};
}

}  // namespace trireme
