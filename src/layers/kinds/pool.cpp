// max_pool and avg_pool, as PyTorch's nn.MaxPool1d-3d and nn.AvgPool1d-3d; global_avg_pool, as nn.AdaptiveAvgPool1d-3d(1) and flatten.
#include "kokkos_kernels/pool.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "kokkos_kernels/conv.hpp"
#include "kokkos_kernels/reduce.hpp"
#include "layers/kind.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

PoolGeometry geometry_of(const LayerOptions& options, const Shape& input) {
  const int dims = spatial_dims(input, options);
  PoolGeometry g;
  g.channels = input[0];
  g.in = spatial_extents(input);
  g.kernel = options.extents("kernel", dims, 1);
  g.stride = options.text("stride") == "kernel" ? g.kernel : options.extents("stride", dims, 1);
  g.padding = options.extents("padding", dims, 0);
  const bool ceil = options.boolean("ceil_mode");
  for (std::size_t a = 0; a < 3; ++a) {
    if (2 * g.padding[a] > g.kernel[a]) throw usage_error("{}: padding {} is more than half of kernel {}", options.where(), g.padding[a], g.kernel[a]);
    g.out[a] = conv_extent(g.in[a], g.kernel[a], g.stride[a], g.padding[a], 1);
    if (g.out[a] < 1) throw usage_error("{}: kernel {} is larger than the input {} with padding {}", options.where(), g.kernel[a], g.in[a], g.padding[a]);
    // ceil_mode adds a window for the remainder, unless that window would begin in the padding behind the input.
    const std::int64_t next = g.out[a] * g.stride[a];
    if (ceil && next + g.kernel[a] - g.stride[a] < g.in[a] + 2 * g.padding[a] && next < g.in[a] + g.padding[a]) ++g.out[a];
  }
  g.behind = g.padding;
  if (g.window() > 65536) throw usage_error("{}: a window of {} elements is too large. Expected at most 65536", options.where(), g.window());
  return g;
}

PoolGeometry part_of(PoolGeometry g, const LayerPart& part) {
  g.channels = part.in.of(g.channels);
  if (part.split)
    for (std::size_t a = 0; a < 3; ++a) {
      g.behind[a] += g.in[a] - part.input.end(a);
      g.in[a] = part.input.extent[a];
      g.out[a] = part.output.extent[a];
      g.padding[a] = part.input.first[a] - (part.output.first[a] * g.stride[a] - g.padding[a]);
    }
  return g;
}

Box reach_of(const LayerOptions& options, const Shape& input, const Box& output) {
  const PoolGeometry g = geometry_of(options, input);
  Box reach;
  for (std::size_t a = 0; a < 3; ++a) {
    reach.first[a] = std::max<std::int64_t>(output.first[a] * g.stride[a] - g.padding[a], 0);
    reach.extent[a] = std::min((output.end(a) - 1) * g.stride[a] - g.padding[a] + g.kernel[a], g.in[a]) - reach.first[a];
  }
  return reach;
}

template <class T>
class MaxPool final : public Layer<T>, public IsEpilogue {
 public:
  MaxPool(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part) : geometry_(part_of(geometry_of(options, inputs[0]), part)) {
    this->output_ = spatial_shape(geometry_.channels, geometry_.out, inputs[0].rank() - 1);
    this->needs_.input_in_backward = false;
    this->needs_.state_per_sample = this->output_.size() * max_pool_index_bytes(geometry_);
  }
  std::optional<Epilogue> as_epilogue() const override {
    for (std::size_t a = 0; a < 3; ++a)
      if (geometry_.stride[a] != geometry_.kernel[a] || geometry_.padding[a] != 0 || geometry_.out[a] != geometry_.in[a] / geometry_.kernel[a])
        return std::nullopt;
    if (max_pool_index_bytes(geometry_) > 1) return std::nullopt;
    return Epilogue{.window = geometry_.kernel};
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    max_pool_forward<T>(pass.exec, geometry_, pass.samples, inputs[0], output, pass.training ? this->memory_.state : Span<std::uint8_t>());
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr) max_pool_backward<T>(pass.exec, geometry_, pass.samples, dy, this->memory_.state, dx[0]);
  }

 private:
  PoolGeometry geometry_;
};

template <class T>
class AvgPool final : public Layer<T> {
 public:
  AvgPool(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part)
      : geometry_(part_of(geometry_of(options, inputs[0]), part)), count_padding_(options.boolean("count_include_pad")) {
    this->output_ = spatial_shape(geometry_.channels, geometry_.out, inputs[0].rank() - 1);
    this->needs_.input_in_backward = false;
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    avg_pool_forward<T>(pass.exec, geometry_, pass.samples, inputs[0], output, count_padding_);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr) avg_pool_backward<T>(pass.exec, geometry_, pass.samples, dy, dx[0], count_padding_);
  }

 private:
  PoolGeometry geometry_;
  bool count_padding_;
};

template <class T>
class GlobalAvgPool final : public Layer<T> {
 public:
  GlobalAvgPool(const LayerOptions&, const std::vector<Shape>& inputs, const LayerPart& part)
      : channels_(part.in.of(channels_of(inputs[0]))), pixels_(pixels_of(part.input_of(inputs[0]))), whole_(pixels_of(inputs[0])) {
    this->output_ = Shape{channels_};
    this->needs_.input_in_backward = false;
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    mean_over_pixels<T>(pass.exec, pass.samples, pixels_, whole_, channels_, inputs[0], output);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr) mean_over_pixels_backward<T>(pass.exec, pass.samples, pixels_, whole_, channels_, dy, dx[0]);
  }

 private:
  std::int64_t channels_, pixels_, whole_;
};

std::vector<OptionSpec> window_options() {
  return {places_option("kernel", "", "Window size.", 1),
          places_option("stride", "kernel", "Stride; kernel: the window size.", 1),
          places_option("padding", "0", "Padding on each side; at most kernel/2.", 0),
          {"ceil_mode", "false", "Round the output size up instead of down, so that a last partial window counts."}};
}

}  // namespace

TRIREME_LAYER(max_pool) {
  return {.help = "Maximum of each window, as nn.MaxPool1d-3d.",
          .options = window_options(),
          .make = maker_of<MaxPool>(),
          .channels = ChannelRole::kept,
          .pixels = PixelRole::window,
          .reach = reach_of};
}

TRIREME_LAYER(avg_pool) {
  std::vector<OptionSpec> options = window_options();
  options.push_back({"count_include_pad", "true", "Count padding as elements of the mean."});
  return {.help = "Mean of each window, as nn.AvgPool1d-3d.",
          .options = options,
          .make = maker_of<AvgPool>(),
          .channels = ChannelRole::kept,
          .pixels = PixelRole::window,
          .reach = reach_of};
}

TRIREME_LAYER(global_avg_pool) {
  return {.help = "Mean of each channel: (C, ...) to (C), as nn.AdaptiveAvgPool1d-3d(1) followed by flatten.",
          .make = maker_of<GlobalAvgPool>(),
          .channels = ChannelRole::kept,
          .pixels = PixelRole::summed};
}

}  // namespace trireme
