// conv_transpose: the transpose of a convolution, as nn.ConvTranspose1d, 2d, 3d (Zeiler et al. 2010). Its passes are a convolution's with the roles
// of input and output swapped: forward is that one's backward-data, the input's gradient its forward pass.
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "kokkos_kernels/conv.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "kokkos_kernels/reduce.hpp"
#include "layers/kinds.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

// Of the convolution that is transposed: `in` is this layer's output.
ConvGeometry geometry_of(const LayerOptions& options, const Shape& input) {
  const int dims = spatial_dims(input, options);
  ConvGeometry g;
  g.out_channels = input[0];
  g.in_channels = options.integer("out", 1);
  g.groups = options.integer("groups", 1);
  if (g.in_channels % g.groups != 0 || g.out_channels % g.groups != 0)
    throw usage_error("{}: groups = {} must divide both the {} input channels and the {} output channels", options.where(), g.groups, g.out_channels,
                      g.in_channels);
  g.out = spatial_extents(input);
  g.kernel = options.extents("kernel", dims, 1, 1);
  g.stride = options.extents("stride", dims, 1, 1);
  g.padding = options.extents("padding", dims, 0, 0);
  g.dilation = options.extents("dilation", dims, 1, 1);
  const auto more = options.extents("output_padding", dims, 0, 0);
  for (std::size_t a = 0; a < 3; ++a) {
    if (more[a] >= std::max(g.stride[a], g.dilation[a]))
      throw usage_error("{}: output_padding {} must be smaller than stride {} or dilation {}", options.where(), more[a], g.stride[a], g.dilation[a]);
    g.in[a] = (g.out[a] - 1) * g.stride[a] - 2 * g.padding[a] + g.dilation[a] * (g.kernel[a] - 1) + more[a] + 1;
    if (g.in[a] < 1)
      throw usage_error("{}: padding {} leaves nothing of the output (input {}, kernel {})", options.where(), g.padding[a], g.out[a], g.kernel[a]);
  }
  return g;
}

template <class T>
class ConvTranspose final : public Layer<T> {
 public:
  ConvTranspose(const LayerOptions& options, const std::vector<Shape>& inputs) : plan_(geometry_of(options, inputs[0])) {
    const ConvGeometry& g = plan_.geometry();
    const int dims = inputs[0].rank() - 1;
    this->output_ = spatial_shape(g.in_channels, g.in, dims);
    const Shape weight = spatial_shape(g.in_channels / g.groups, g.kernel, dims).with_first(g.out_channels);
    const double bound = 1 / std::sqrt(static_cast<double>(g.in_channels / g.groups * g.taps()));
    this->parameters_ = {{"weight", weight, {Initial::Kind::uniform, bound}}};
    if (options.boolean("bias")) this->parameters_.push_back({"bias", Shape{g.in_channels}, {Initial::Kind::uniform, bound}});
  }

  std::int64_t multiply_adds() const override { return plan_.geometry().multiply_adds(); }
  void plan_for(std::int64_t samples, Operands operands) override {
    plan_ = ConvPlan<T>(plan_.geometry(), plan_.tail(), operands);
    const std::int64_t sums = channel_sums_workspace(samples * plan_.geometry().in_pixels(), plan_.geometry().in_channels);
    this->needs_.workspace = std::max(plan_.workspace(samples), sums * static_cast<std::int64_t>(sizeof(double) / sizeof(T)));
  }
  bool fuse_relu() override { return relu_ = true; }

  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    const auto& parameters = this->memory_.parameters;
    plan_.backward_data(pass.exec, pass.samples, {.dy = inputs[0], .y = {}, .index = {}}, parameters[0], output, this->memory_.workspace);
    if (relu_ || has_bias()) add_bias<T>(pass.exec, rows(pass), channels(), has_bias() ? parameters[1] : Span<T>(), output, relu_);
  }

  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    const auto& gradients = this->memory_.gradients;
    plan_.backward_weights(pass.exec, pass.samples, dy, {.dy = inputs[0], .y = {}, .index = {}}, gradients[0], Span<T>(), this->memory_.workspace);
    if (has_bias()) {
      const Span<double> sums(reinterpret_cast<double*>(this->memory_.workspace.data()), this->memory_.workspace.size() * sizeof(T) / sizeof(double));
      add_channel_sums<T>(pass.exec, rows(pass), channels(), dy, sums, gradients[1]);
    }
    if (dx[0].data() != nullptr)
      plan_.forward(pass.exec, pass.samples, dy, this->memory_.parameters[0], Span<T>(), dx[0], Span<std::uint8_t>(), this->memory_.workspace);
  }

 private:
  bool has_bias() const { return this->parameters_.size() == 2; }
  std::int64_t channels() const { return plan_.geometry().in_channels; }
  std::int64_t rows(const Pass& pass) const { return pass.samples * plan_.geometry().in_pixels(); }

  ConvPlan<T> plan_;
  bool relu_ = false;
};

}  // namespace

LayerKind conv_transpose_kind() {
  return {"conv_transpose",
          "Transposed convolution in 1, 2 or 3 dimensions, as nn.ConvTranspose1d-3d.",
          {{"out", "", "channels of the output"},
           {"kernel", "", "size of the kernel"},
           {"stride", "1", "step between inputs in the output"},
           {"padding", "0", "places taken from both sides of the output"},
           {"output_padding", "0", "places added to one side of the output, less than stride or dilation"},
           {"dilation", "1", "distance between the kernel's taps"},
           {"groups", "1", "groups of channels that do not see each other"},
           {"bias", "true", "whether a bias is added"}},
          1,
          [](const LayerOptions& o, const std::vector<Shape>& s) { return std::make_unique<ConvTranspose<float>>(o, s); },
          [](const LayerOptions& o, const std::vector<Shape>& s) { return std::make_unique<ConvTranspose<double>>(o, s); }};
}

}  // namespace trireme
