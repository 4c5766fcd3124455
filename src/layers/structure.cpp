// Layers that move values: flatten, reshape, add, concat; and scale.
#include "base/error.hpp"
#include "base/sample_shape.hpp"
#include "kokkos_kernels/activation.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "layers/kinds.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

/// Another shape for the same list of numbers, channels slowest as in PyTorch's memory. Here channels are fastest: numbers move, unless there is
/// one channel or one pixel on each side, or as many channels.
template <class T>
class Reshape final : public Layer<T> {
 public:
  Reshape(const Shape& input, const Shape& output)
      : channels_(channels_of(input)), pixels_(pixels_of(input)), to_channels_(channels_of(output)), to_pixels_(pixels_of(output)) {
    this->output_ = output;
    this->needs_ = {.input_in_backward = false, .output_in_backward = false, .in_place = same_memory()};
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    move(pass, pixels_, channels_, to_pixels_, to_channels_, inputs[0], output);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr) move(pass, to_pixels_, to_channels_, pixels_, channels_, dy, dx[0]);
  }

 private:
  bool same_memory() const {
    return channels_ == to_channels_ || ((channels_ == 1 || pixels_ == 1) && (to_channels_ == 1 || to_pixels_ == 1));
  }
  void move(const Pass& pass, std::int64_t pixels, std::int64_t channels, std::int64_t to_pixels, std::int64_t to_channels, Span<const T> x,
            Span<T> y) const {
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
    throw usage_error("{}: shape = {} has {} elements, its input {} has {}", options.where(), options.text("shape"), output.size(), input.text(),
                      input.size());
  return output;
}

template <class T>
class Scale final : public Layer<T> {
 public:
  Scale(const LayerOptions& options, const Shape& input) : factor_(static_cast<T>(options.real("factor", -1e30, 1e30))), elements_(input.size()) {
    this->output_ = input;
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

template <class T>
class Add final : public Layer<T> {
 public:
  Add(const LayerOptions& options, const std::vector<Shape>& inputs) : elements_(inputs[0].size()) {
    for (const auto& shape : inputs)
      if (!(shape == inputs[0]))
        throw usage_error("{}: its inputs must have one shape; found {} and {}", options.where(), inputs[0].text(), shape.text());
    this->output_ = inputs[0];
    this->needs_.input_in_backward = false;
    only_two_ = inputs.size() == 2;
  }
  bool fuse_relu() override { return relu_ = this->needs_.output_in_backward = only_two_; }
  bool relu_in_backward() const override { return relu_; }

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
  std::int64_t elements_;
  bool only_two_ = false, relu_ = false;
};

/// Joins channels; all other extents must agree.
template <class T>
class Concat final : public Layer<T> {
 public:
  Concat(const LayerOptions& options, const std::vector<Shape>& inputs) : pixels_(pixels_of(inputs[0])) {
    for (const auto& shape : inputs) {
      if (!(shape.without_first() == inputs[0].without_first()))
        throw usage_error("{}: its inputs must agree in all but the channels; found {} and {}", options.where(), inputs[0].text(), shape.text());
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
  std::int64_t pixels_, total_ = 0;
  std::vector<std::int64_t> channels_;
};

std::vector<Shape> parts_of(const std::vector<Shape>& inputs, const LayerPart& part) {
  std::vector<Shape> parts;
  for (const Shape& input : inputs) parts.push_back(part.input_of(input));
  return parts;
}

}  // namespace

LayerKind flatten_kind() {
  return {"flatten", "One flat list of features a sample, in PyTorch's order.", {}, 1,
          [](const LayerOptions&, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Reshape<float>>(p.input_of(s[0]), Shape{p.input_of(s[0]).size()}); },
          [](const LayerOptions&, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Reshape<double>>(p.input_of(s[0]), Shape{p.input_of(s[0]).size()}); },
          ChannelRole::flattened};
}

LayerKind reshape_kind() {
  return {"reshape", "The same numbers in another shape, in PyTorch's order.", {{"shape", "", "shape of a sample, channels first, as in 8x4x4"}}, 1,
          [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart&) { return std::make_unique<Reshape<float>>(s[0], reshaped(o, s[0])); },
          [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart&) { return std::make_unique<Reshape<double>>(s[0], reshaped(o, s[0])); }};
}

LayerKind scale_kind() {
  return {"scale", "factor x", {{"factor", "", "a constant; may be a fraction such as 1/255"}}, 1,
          [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Scale<float>>(o, p.input_of(s[0])); },
          [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Scale<double>>(o, p.input_of(s[0])); }, ChannelRole::kept, PixelRole::pointwise};
}

LayerKind add_kind() {
  return {"add", "Sum of the inputs named by `from`, all of one shape.", {}, 0,
          [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Add<float>>(o, parts_of(s, p)); },
          [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Add<double>>(o, parts_of(s, p)); }, ChannelRole::kept, PixelRole::pointwise};
}

LayerKind concat_kind() {
  return {"concat", "The inputs named by `from`, joined along the channels.", {}, 0,
          [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Concat<float>>(o, parts_of(s, p)); },
          [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Concat<double>>(o, parts_of(s, p)); }, ChannelRole::mixed, PixelRole::pointwise};
}

}  // namespace trireme
