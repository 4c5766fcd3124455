// Layers that move values: flatten, reshape, add, concat; and scale.
#include "base/error.hpp"
#include "base/sample_shape.hpp"
#include "kokkos_kernels/activation.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "layers/kind.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

/// Reshape in PyTorch's order, where channels are slowest. Here channels are fastest in memory, so elements move unless each side has one channel or one
/// pixel, or both sides have the same number of channels.
template <class T>
class Reshape final : public Layer<T> {
 public:
  Reshape(const Shape& input, const Shape& output)
      : channels_(channels_of(input)), pixels_(pixels_of(input)), to_channels_(channels_of(output)), to_pixels_(pixels_of(output)) {
    this->output_ = output;
    this->needs_ = {.input_in_backward = false, .output_in_backward = false, .in_place = same_memory(), .identity = same_memory()};
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    move(pass, pixels_, channels_, to_pixels_, to_channels_, inputs[0], output);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr) move(pass, to_pixels_, to_channels_, pixels_, channels_, dy, dx[0]);
  }

 private:
  bool same_memory() const { return channels_ == to_channels_ || ((channels_ == 1 || pixels_ == 1) && (to_channels_ == 1 || to_pixels_ == 1)); }
  void move(const Pass& pass, std::int64_t pixels, std::int64_t channels, std::int64_t to_pixels, std::int64_t to_channels, Span<const T> x, Span<T> y) const {
    if (x.data() == y.data()) return;
    if (same_memory())
      copy<T>(pass.exec, pass.samples * pixels * channels, x, y);
    else if (to_pixels == 1)
      channels_first<T>(pass.exec, pass.samples, pixels, channels, x, y);
    else if (pixels == 1)
      channels_last<T>(pass.exec, pass.samples, to_pixels, to_channels, x, y);
    else
      reshape<T>(pass.exec, pass.samples, pixels, channels, to_pixels, to_channels, x, y);
  }

  std::int64_t channels_, pixels_, to_channels_, to_pixels_;
};

Shape reshaped(const LayerOptions& options, const Shape& input) {
  const Shape output = sample_shape(options.text("shape"), options.where() + " shape");
  if (output.size() != input.size())
    throw usage_error("{}: shape = {} has {} elements, but the input {} has {}", options.where(), options.text("shape"), output.size(), input.text(),
                      input.size());
  return output;
}

template <class T>
class Scale final : public Layer<T> {
 public:
  Scale(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part)
      : factor_(static_cast<T>(options.real("factor", -1e30, 1e30))), elements_(part.input_of(inputs[0]).size()) {
    this->output_ = part.input_of(inputs[0]);
    this->needs_ = {.input_in_backward = false, .output_in_backward = false, .in_place = true};
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    scale<T>(pass.exec, pass.samples * elements_, factor_, inputs[0], output);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr) scale<T>(pass.exec, pass.samples * elements_, factor_, dy, dx[0]);
  }

 private:
  T factor_;
  std::int64_t elements_;
};

std::vector<Shape> parts_of(const std::vector<Shape>& inputs, const LayerPart& part) {
  std::vector<Shape> parts;
  for (const Shape& input : inputs) parts.push_back(part.input_of(input));
  return parts;
}

template <class T>
class Add final : public Layer<T>, public FusesEpilogue {
 public:
  Add(const LayerOptions& options, const std::vector<Shape>& whole, const LayerPart& part) {
    const std::vector<Shape> inputs = parts_of(whole, part);
    elements_ = inputs[0].size();
    for (const auto& shape : inputs)
      if (!(shape == inputs[0])) throw usage_error("{}: all inputs must have the same shape; found {} and {}", options.where(), inputs[0].text(), shape.text());
    this->output_ = inputs[0];
    this->needs_.input_in_backward = false;
    only_two_ = inputs.size() == 2;
  }
  Fusion fuse(const Epilogue& epilogue) override {
    if (!epilogue.is_relu() || !only_two_) return Fusion::none;
    relu_ = this->needs_.output_in_backward = true;
    return Fusion::both;
  }

  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    const std::int64_t count = pass.samples * elements_;
    sum<T>(pass.exec, count, inputs[0], inputs[1], output, relu_);
    for (std::size_t i = 2; i < inputs.size(); ++i) add_to<T>(pass.exec, count, inputs[i], output);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T> output, Span<const T> dy, std::span<const Span<T>> dx) override {
    const std::int64_t count = pass.samples * elements_;
    for (const auto& gradient : dx) {
      if (gradient.data() == nullptr) continue;
      if (relu_)
        activation_backward<T>(pass.exec, Activation::relu, count, {}, output, dy, gradient, T{});
      else
        copy<T>(pass.exec, count, dy, gradient);
    }
  }

 private:
  std::int64_t elements_ = 0;
  bool only_two_ = false, relu_ = false;
};

/// Joins channels; all other extents must agree.
template <class T>
class Concat final : public Layer<T> {
 public:
  Concat(const LayerOptions& options, const std::vector<Shape>& whole, const LayerPart& part) {
    const std::vector<Shape> inputs = parts_of(whole, part);
    pixels_ = pixels_of(inputs[0]);
    for (const auto& shape : inputs) {
      if (!(shape.without_first() == inputs[0].without_first()))
        throw usage_error("{}: the inputs must agree in all dimensions except the channels; found {} and {}", options.where(), inputs[0].text(), shape.text());
      channels_.push_back(channels_of(shape));
      total_ += channels_of(shape);
    }
    this->output_ = inputs[0].without_first().with_first(total_);
    this->needs_.input_in_backward = false;
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    std::int64_t first = 0;
    for (std::size_t i = 0; i < inputs.size(); first += channels_[i++])
      copy_columns<T>(pass.exec, pass.samples * pixels_, channels_[i], inputs[i], channels_[i], 0, output, total_, first);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    std::int64_t first = 0;
    for (std::size_t i = 0; i < dx.size(); first += channels_[i++])
      if (dx[i].data() != nullptr) copy_columns<T>(pass.exec, pass.samples * pixels_, channels_[i], dy, total_, first, dx[i], channels_[i], 0);
  }

 private:
  std::int64_t pixels_ = 0, total_ = 0;
  std::vector<std::int64_t> channels_;
};

}  // namespace

TRIREME_LAYER(flatten) {
  return {.help = "Flattens each sample to one list of features, in PyTorch's order, as nn.Flatten.",
          .make =
              []<class T>(const LayerOptions&, const std::vector<Shape>& s, const LayerPart& p) {
                const Shape input = p.input_of(s[0]);
                return std::make_unique<Reshape<T>>(input, Shape{input.size()});
              },
          .channels = ChannelRole::flattened};
}

TRIREME_LAYER(reshape) {
  return {.help = "Reshapes each sample, in PyTorch's order, as nn.Unflatten and torch.reshape.",
          .options = {{"shape", "", "New shape of a sample, channels first, as in 8x4x4."}},
          .make = []<class T>(const LayerOptions& o, const std::vector<Shape>& s, const LayerPart&) {
            return std::make_unique<Reshape<T>>(s[0], reshaped(o, s[0]));
          }};
}

TRIREME_LAYER(scale) {
  return {.help = "f(x) = factor x.",
          .options = {{"factor", "", "Constant factor; it may be a fraction such as 1/255."}},
          .make = maker_of<Scale>(),
          .channels = ChannelRole::kept,
          .pixels = PixelRole::pointwise};
}

TRIREME_LAYER(add) {
  return {.help = "Sum of the inputs that `from` names. All must have the same shape.",
          .make = maker_of<Add>(),
          .inputs = 0,
          .channels = ChannelRole::kept,
          .pixels = PixelRole::pointwise};
}

TRIREME_LAYER(concat) {
  return {.help = "Concatenates the inputs that `from` names along the channels, as torch.cat(dim=1).",
          .make = maker_of<Concat>(),
          .inputs = 0,
          .channels = ChannelRole::mixed,
          .pixels = PixelRole::pointwise};
}

}  // namespace trireme
