// softmax and log_softmax over the channels, as PyTorch's.
#include "kokkos_kernels/softmax.hpp"

#include "layers/kind.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

/// softmax, or with `log` its logarithm.
template <class T, bool log>
class Softmax final : public Layer<T> {
 public:
  Softmax(const LayerOptions&, const std::vector<Shape>& inputs, const LayerPart& part)
      : channels_(channels_of(part.input_of(inputs[0]))), pixels_(pixels_of(part.input_of(inputs[0]))) {
    this->output_ = part.input_of(inputs[0]);
    this->needs_ = {.input_in_backward = false, .output_in_backward = true, .in_place = true};
  }
  void plan_for(std::int64_t samples, ComputeType) override {
    this->needs_.workspace = doubles(samples) * static_cast<std::int64_t>(sizeof(double) / sizeof(T));
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    (log ? log_softmax_forward<T> : softmax_forward<T>)(pass.exec, pass.samples * pixels_, channels_, inputs[0], workspace(pass.samples), output);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T> output, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() == nullptr) return;
    (log ? log_softmax_backward<T> : softmax_backward<T>)(pass.exec, pass.samples * pixels_, channels_, output, dy, workspace(pass.samples), dx[0]);
  }

 private:
  std::int64_t doubles(std::int64_t samples) const { return softmax_workspace(samples * pixels_, channels_); }
  Span<double> workspace(std::int64_t samples) const {
    return {reinterpret_cast<double*>(this->memory_.workspace.data()), static_cast<std::size_t>(doubles(samples))};
  }

  std::int64_t channels_, pixels_;
};

template <class T>
using PlainSoftmax = Softmax<T, false>;
template <class T>
using LogSoftmax = Softmax<T, true>;

}  // namespace

TRIREME_LAYER(softmax) {
  return {.help = "Softmax over the channels: exp(x) / sum(exp(x)), as nn.Softmax(dim=1). Do not use it before cross_entropy, which includes it.",
          .make = maker_of<PlainSoftmax>(),
          .channels = ChannelRole::mixed,
          .pixels = PixelRole::pointwise};
}

TRIREME_LAYER(log_softmax) {
  return {.help = "Logarithm of softmax over the channels, as nn.LogSoftmax(dim=1). It is not needed before cross_entropy, which includes it.",
          .make = maker_of<LogSoftmax>(),
          .channels = ChannelRole::mixed,
          .pixels = PixelRole::pointwise};
}

}  // namespace trireme
