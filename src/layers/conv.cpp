// conv: cross-correlation in one to three dimensions, as PyTorch's nn.Conv1d, Conv2d and Conv3d.
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
  g.out_channels = options.integer("out", 1);
  g.groups = options.integer("groups", 1);
  if (g.in_channels % g.groups != 0 || g.out_channels % g.groups != 0)
    throw usage_error("{}: groups = {} must divide both the {} input channels and the {} output channels", options.where(), g.groups, g.in_channels,
                      g.out_channels);
  g.in = spatial_extents(input);
  g.kernel = options.extents("kernel", dims, 1, 1);
  g.stride = options.extents("stride", dims, 1, 1);
  g.padding = options.extents("padding", dims, 0, 0);
  g.dilation = options.extents("dilation", dims, 1, 1);
  for (std::size_t a = 0; a < 3; ++a) {
    g.out[a] = conv_extent(g.in[a], g.kernel[a], g.stride[a], g.padding[a], g.dilation[a]);
    if (g.out[a] < 1)
      throw usage_error("{}: kernel {} (dilation {}) is larger than the input {} with padding {}", options.where(), g.kernel[a], g.dilation[a], g.in[a],
                        g.padding[a]);
  }
  return g;
}

template <class T>
class Conv final : public Layer<T> {
 public:
  Conv(const LayerOptions& options, const std::vector<Shape>& inputs) : plan_(geometry_of(options, inputs[0])) {
    const ConvGeometry& g = plan_.geometry();
    this->output_ = spatial_shape(g.out_channels, g.out, inputs[0].rank() - 1);
    const Shape weight = spatial_shape(g.in_channels / g.groups, g.kernel, inputs[0].rank() - 1).with_first(g.out_channels);
    const double bound = 1 / std::sqrt(static_cast<double>(g.in_channels / g.groups * g.taps()));
    this->parameters_ = {{"weight", weight, {Initial::Kind::uniform, bound}}};
    if (options.boolean("bias")) this->parameters_.push_back({"bias", Shape{g.out_channels}, {Initial::Kind::uniform, bound}});
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
    const ConvGradient<T> gradient{.dy = dy, .y = output, .index = this->memory_.state};
    plan_.backward_weights(pass.exec, pass.samples, inputs[0], gradient, this->memory_.gradients[0], bias(this->memory_.gradients),
                           this->memory_.workspace);
    if (input_gradients[0].data() != nullptr)
      plan_.backward_data(pass.exec, pass.samples, gradient, this->memory_.parameters[0], input_gradients[0], this->memory_.workspace);
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
          {{"out", "", "channels of the output"},
           {"kernel", "", "size of the kernel"},
           {"stride", "1", "step between outputs"},
           {"padding", "0", "zeros added on both sides"},
           {"dilation", "1", "distance between the kernel's taps"},
           {"groups", "1", "groups of channels that do not see each other"},
           {"bias", "true", "whether a bias is added"}},
          1,
          [](const LayerOptions& o, const std::vector<Shape>& s) { return std::make_unique<Conv<float>>(o, s); },
          [](const LayerOptions& o, const std::vector<Shape>& s) { return std::make_unique<Conv<double>>(o, s); }};
}

}  // namespace trireme
