// conv_transpose: the transpose of a convolution, as nn.ConvTranspose1d, 2d, 3d (Zeiler et al. 2010). Its passes are a convolution's with the roles
// of input and output swapped: forward is that one's backward-data, the input's gradient its forward pass.
#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.hpp"
#include "kokkos_kernels/conv.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "kokkos_kernels/reduce.hpp"
#include "layers/kind.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

// Of the convolution that is transposed: `in` is this layer's output.
ConvGeometry geometry_of(const LayerOptions& options, const Shape& input) {
  const int dims = spatial_dims(input, options);
  ConvGeometry g = taps_of(options, dims, input[0], options.integer("out"));
  std::swap(g.in_channels, g.out_channels);
  g.out = spatial_extents(input);
  const auto more = options.extents("output_padding", dims, 0);
  for (std::size_t a = 0; a < 3; ++a) {
    if (more[a] >= std::max(g.stride[a], g.dilation[a]))
      throw usage_error("{}: output_padding {} must be smaller than stride {} or dilation {}", options.where(), more[a], g.stride[a], g.dilation[a]);
    g.in[a] = (g.out[a] - 1) * g.stride[a] - 2 * g.padding[a] + g.dilation[a] * (g.kernel[a] - 1) + more[a] + 1;
    if (g.in[a] < 1)
      throw usage_error("{}: padding {} leaves nothing of the output (input {}, kernel {})", options.where(), g.padding[a], g.out[a], g.kernel[a]);
  }
  check_size(g, options);
  return g;
}

/// A part: `in` of the geometry is what is made, `out` what is at hand. Padding may be negative, see conv.
ConvGeometry part_of(const ConvGeometry& whole, const LayerPart& part) {
  ConvGeometry g = whole;
  if (part.split)
    for (std::size_t a = 0; a < 3; ++a) {
      g.in[a] = part.output.extent[a];
      g.out[a] = part.input.extent[a];
      g.padding[a] = g.padding[a] + part.output.first[a] - part.input.first[a] * g.stride[a];
    }
  g.in_channels = part.out.of(whole.in_channels);
  g.out_channels = part.in.of(whole.out_channels);
  if (whole.groups > 1) g.groups = whole.groups * g.in_channels / whole.in_channels;
  return g;
}

/// Input places o with a tap on output places [first, end): o stride - padding + k dilation, 0 <= k < kernel.
Box reach_of(const LayerOptions& options, const Shape& input, const Box& output) {
  const ConvGeometry g = geometry_of(options, input);
  Box reach;
  for (std::size_t a = 0; a < 3; ++a) {
    const std::int64_t low = output.first[a] + g.padding[a] - (g.kernel[a] - 1) * g.dilation[a], high = output.end(a) - 1 + g.padding[a];
    const std::int64_t from = low <= 0 ? 0 : (low + g.stride[a] - 1) / g.stride[a], to = high / g.stride[a] + 1;
    reach.first[a] = std::clamp<std::int64_t>(from, 0, g.out[a] - 1);
    reach.extent[a] = std::clamp<std::int64_t>(to, reach.first[a] + 1, g.out[a]) - reach.first[a];
  }
  return reach;
}

template <class T>
class ConvTranspose final : public Layer<T>, public FusesEpilogue, public SplitBackward<T> {
 public:
  ConvTranspose(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part) : plan_(part_of(geometry_of(options, inputs[0]), part)) {
    const ConvGeometry whole = geometry_of(options, inputs[0]);
    const ConvGeometry& g = plan_.geometry();
    const int dims = inputs[0].rank() - 1;
    this->output_ = spatial_shape(g.in_channels, g.in, dims);
    this->multiply_adds_ = g.multiply_adds();
    const auto weight = [&](const ConvGeometry& of) { return spatial_shape(of.in_channels / of.groups, g.kernel, dims).with_first(of.out_channels); };
    const Initial initial{Initial::Kind::uniform, 1 / std::sqrt(static_cast<double>(whole.in_channels / whole.groups * g.taps()))};
    this->parameters_ = {{"weight", weight(g), initial, slice_of(weight(whole), {part.in.first, whole.groups == 1 ? part.out.first : 0})}};
    if (options.boolean("bias") && part.adds_bias)
      this->parameters_.push_back({"bias", Shape{g.in_channels}, initial, slice_of(Shape{whole.in_channels}, {part.out.first})});
  }

  void plan_for(std::int64_t samples, ComputeType operands) override {
    plan_ = ConvPlan<T>(plan_.geometry(), plan_.tail(), operands);
    const std::int64_t sums = channel_sums_workspace(samples * plan_.geometry().in_pixels(), plan_.geometry().in_channels);
    this->needs_.workspace = std::max(plan_.workspace(samples), sums * static_cast<std::int64_t>(sizeof(double) / sizeof(T)));
  }
  Fusion fuse(const Epilogue& epilogue) override {
    if (!epilogue.is_relu()) return Fusion::none;
    relu_ = true;
    return Fusion::forward;
  }

  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    const auto& parameters = this->memory_.parameters;
    plan_.backward_data(pass.exec, pass.samples, {.dy = inputs[0], .y = {}, .index = {}}, parameters[0], output, this->memory_.workspace);
    if (relu_ || has_bias()) add_bias<T>(pass.exec, rows(pass), channels(), has_bias() ? parameters[1] : Span<T>(), output, relu_);
  }

  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    backward_parameters(pass, inputs[0], Span<const T>(), dy);
    if (dx[0].data() != nullptr) backward_input(pass, Span<const T>(), dy, dx[0]);
  }
  void backward_input(const Pass& pass, Span<const T>, Span<const T> dy, Span<T> dx) override {
    plan_.forward(pass.exec, pass.samples, dy, this->memory_.parameters[0], Span<T>(), dx, Span<std::uint8_t>(), this->memory_.workspace);
  }
  void backward_parameters(const Pass& pass, Span<const T> x, Span<const T>, Span<const T> dy) override {
    const auto& gradients = this->memory_.gradients;
    plan_.backward_weights(pass.exec, pass.samples, dy, {.dy = x, .y = {}, .index = {}}, gradients[0], Span<T>(), this->memory_.workspace);
    if (has_bias()) {
      const Span<double> sums(reinterpret_cast<double*>(this->memory_.workspace.data()), this->memory_.workspace.size() * sizeof(T) / sizeof(double));
      add_channel_sums<T>(pass.exec, rows(pass), channels(), dy, sums, gradients[1]);
    }
  }

 private:
  bool has_bias() const { return this->parameters_.size() == 2; }
  std::int64_t channels() const { return plan_.geometry().in_channels; }
  std::int64_t rows(const Pass& pass) const { return pass.samples * plan_.geometry().in_pixels(); }

  ConvPlan<T> plan_;
  bool relu_ = false;
};

}  // namespace

TRIREME_LAYER(conv_transpose) {
  return {.help = "Transposed convolution in 1, 2 or 3 dimensions, as nn.ConvTranspose1d-3d. The initial values are PyTorch's default distribution.",
          .options = {channels_option("out", "", "Number of output channels."),
                      places_option("kernel", "", "Kernel size.", 1),
                      places_option("stride", "1", "Stride: distance in the output between neighboring inputs.", 1),
                      places_option("padding", "0", "Padding; crops this many pixels from each side of the output.", 0),
                      places_option("output_padding", "0", "Pixels added to the end of each output dimension; less than the stride or the dilation.", 0),
                      places_option("dilation", "1", "Spacing between kernel elements.", 1),
                      channels_option("groups", "1", "Number of groups (grouped convolution)."),
                      {"bias", "true", "Add a learned bias."}},
          .make = maker_of<ConvTranspose>(),
          .channels = ChannelRole::contracted,
          .pixels = PixelRole::window,
          .reach = reach_of,
          .groups = [](const LayerOptions& o) { return o.integer("groups"); }};
}

}  // namespace trireme
