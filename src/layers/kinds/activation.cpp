// Elementwise activations, as PyTorch's.
#include "kokkos_kernels/activation.hpp"

#include "layers/kind.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

template <class T>
class Elementwise final : public Layer<T>, public IsEpilogue {
 public:
  Elementwise(Activation kind, const Shape& input, T slope = {}, T threshold = {})
      : kind_(kind), slope_(slope), threshold_(threshold), elements_(input.size()) {
    this->output_ = input;
    this->needs_.input_in_backward = backward_reads_input(kind);
    this->needs_.output_in_backward = !backward_reads_input(kind);
    this->needs_.in_place = !backward_reads_input(kind);
  }
  std::optional<Epilogue> as_epilogue() const override {
    if (kind_ == Activation::relu) return Epilogue{.slope = 0};
    if (kind_ == Activation::leaky_relu && slope_ > T{}) return Epilogue{.slope = static_cast<double>(slope_)};
    return std::nullopt;
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    activation_forward<T>(pass.exec, kind_, pass.samples * elements_, inputs[0], output, slope_, threshold_);
  }
  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T> output, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr) activation_backward<T>(pass.exec, kind_, pass.samples * elements_, inputs[0], output, dy, dx[0], slope_, threshold_);
  }

 private:
  Activation kind_;
  T slope_, threshold_;
  std::int64_t elements_;
};

LayerKind elementwise(Activation kind, const std::string& help) {
  return {.help = help,
          .make = [kind]<class T>(const LayerOptions&, const std::vector<Shape>& s,
                                  const LayerPart& p) { return std::make_unique<Elementwise<T>>(kind, p.input_of(s[0])); },
          .channels = ChannelRole::kept,
          .pixels = PixelRole::pointwise};
}

/// With one number from the options, at least 0.
LayerKind elementwise(Activation kind, const std::string& help, const OptionSpec& number) {
  LayerKind entry = elementwise(kind, help);
  entry.options = {number};
  entry.make = [kind, option = number.name]<class T>(const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) {
    return std::make_unique<Elementwise<T>>(kind, p.input_of(s[0]), static_cast<T>(o.real(option, 0, 1e6)));
  };
  return entry;
}

}  // namespace

TRIREME_LAYER(relu) { return elementwise(Activation::relu, "f(x) = max(0, x), as nn.ReLU."); }

TRIREME_LAYER(leaky_relu) {
  return elementwise(Activation::leaky_relu, "f(x) = x for x >= 0, slope x otherwise, as nn.LeakyReLU.", {"slope", "0.01", "Slope for x < 0; at least 0."});
}

TRIREME_LAYER(tanh) { return elementwise(Activation::tanh, "f(x) = tanh(x), as nn.Tanh."); }

TRIREME_LAYER(sigmoid) { return elementwise(Activation::sigmoid, "f(x) = 1 / (1 + exp(-x)), as nn.Sigmoid."); }

TRIREME_LAYER(gelu) { return elementwise(Activation::gelu, "f(x) = x Phi(x), as nn.GELU without the tanh approximation."); }

TRIREME_LAYER(silu) { return elementwise(Activation::silu, "f(x) = x / (1 + exp(-x)), as nn.SiLU."); }

TRIREME_LAYER(elu) {
  return elementwise(Activation::elu, "f(x) = x for x >= 0, alpha (exp(x) - 1) otherwise, as nn.ELU.",
                     {"alpha", "1", "Negative saturation: f(x) -> -alpha as x -> -inf; at least 0."});
}

TRIREME_LAYER(softplus) {
  LayerKind entry = elementwise(Activation::softplus, "f(x) = log(1 + exp(beta x)) / beta for beta x <= threshold, x otherwise, as nn.Softplus.");
  entry.options = {{"beta", "1", "Sharpness of the transition from 0 to x."}, {"threshold", "20", "Value of beta x above which f(x) = x."}};
  entry.make = []<class T>(const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) {
    return std::make_unique<Elementwise<T>>(Activation::softplus, p.input_of(s[0]), static_cast<T>(o.real("beta", 1e-6, 1e6)),
                                            static_cast<T>(o.real("threshold", 0, 1e6)));
  };
  return entry;
}

}  // namespace trireme
