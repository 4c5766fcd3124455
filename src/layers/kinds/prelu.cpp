// prelu, as PyTorch's nn.PReLU.
#include "kokkos_kernels/prelu.hpp"

#include "layers/kind.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

template <class T>
class PRelu final : public Layer<T> {
 public:
  PRelu(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part) {
    const Shape input = part.input_of(inputs[0]);
    channels_ = channels_of(input), pixels_ = pixels_of(input);
    const Initial initial{Initial::Kind::constant, options.real("initial", -1e6, 1e6)};
    if (options.boolean("per_channel"))
      this->parameters_ = {{"weight", Shape{channels_}, initial, slice_of(Shape{channels_of(inputs[0])}, {part.in.first})}};
    else
      this->parameters_ = {{"weight", Shape{1}, initial}};
    this->output_ = input;
  }
  void plan_for(std::int64_t samples, ComputeType) override {
    this->needs_.workspace = prelu_workspace(samples * pixels_, channels_) * static_cast<std::int64_t>(sizeof(double) / sizeof(T));
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    prelu_forward<T>(pass.exec, pass.samples * pixels_, channels_, this->memory_.parameters[0], inputs[0], output);
  }
  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    const Span<double> workspace(reinterpret_cast<double*>(this->memory_.workspace.data()),
                                 static_cast<std::size_t>(prelu_workspace(pass.samples * pixels_, channels_)));
    prelu_backward<T>(pass.exec, pass.samples * pixels_, channels_, this->memory_.parameters[0], inputs[0], dy, workspace, dx[0], this->memory_.gradients[0]);
  }

 private:
  std::int64_t channels_ = 0, pixels_ = 0;
};

}  // namespace

TRIREME_LAYER(prelu) {
  return {.help = "f(x) = x for x > 0, w x otherwise, with a learned w, as nn.PReLU.",
          .options = {{"per_channel", "false", "Learn one w per channel (num_parameters in PyTorch). false: one w for all."},
                      {"initial", "0.25", "Initial value of w."}},
          .make = maker_of<PRelu>(),
          .channels = ChannelRole::kept,
          .pixels = PixelRole::pointwise,
          // One w for all channels: the gradient is a sum over all of them.
          .channel_unit = [](const LayerOptions& o, const Shape& input) { return o.boolean("per_channel") ? std::int64_t{1} : channels_of(input); }};
}

}  // namespace trireme
