// Elementwise activations and softmax, as PyTorch's.
#include "kokkos_kernels/activation.hpp"

#include "kokkos_kernels/softmax.hpp"
#include "layers/kinds.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

template <class T>
class Elementwise final : public Layer<T> {
 public:
  Elementwise(Activation kind, const Shape& input, T slope = {}, T threshold = {})
      : kind_(kind), slope_(slope), threshold_(threshold), elements_(input.size()) {
    this->output_ = input;
    this->needs_.input_in_backward = backward_reads_input(kind);
    this->needs_.output_in_backward = !backward_reads_input(kind);
    this->needs_.in_place = !backward_reads_input(kind);
  }
  std::optional<ConvTail> as_tail() const override {
    if (kind_ == Activation::relu) return ConvTail{.slope = 0};
    if (kind_ == Activation::leaky_relu && slope_ > T{}) return ConvTail{.slope = static_cast<double>(slope_)};
    return std::nullopt;
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    activation_forward<T>(pass.exec, kind_, pass.samples * elements_, inputs[0], output, slope_, threshold_);
  }
  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T> output, Span<const T> dy,
                std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr) activation_backward<T>(pass.exec, kind_, pass.samples * elements_, inputs[0], output, dy, dx[0], slope_, threshold_);
  }

 private:
  Activation kind_;
  T slope_, threshold_;
  std::int64_t elements_;
};

/// softmax, or with `log` its logarithm.
template <class T, bool log>
class Softmax final : public Layer<T> {
 public:
  explicit Softmax(const Shape& input) : channels_(channels_of(input)), pixels_(pixels_of(input)) {
    this->output_ = input;
    this->needs_ = {.input_in_backward = false, .output_in_backward = true, .in_place = true};
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    (log ? log_softmax_forward<T> : softmax_forward<T>)(pass.exec, pass.samples * pixels_, channels_, inputs[0], output);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T> output, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr)
      (log ? log_softmax_backward<T> : softmax_backward<T>)(pass.exec, pass.samples * pixels_, channels_, output, dy, dx[0]);
  }

 private:
  std::int64_t channels_, pixels_;
};

LayerKind elementwise_kind(const std::string& name, Activation kind, const std::string& help) {
  const auto make = [kind]<class T>(T) {
    return [kind](const LayerOptions&, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Elementwise<T>>(kind, p.input_of(s[0])); };
  };
  return {name, help, {}, 1, make(float{}), make(double{}), ChannelRole::kept, PixelRole::pointwise};
}

}  // namespace

std::vector<LayerKind> activation_kinds() {
  const auto leaky = []<class T>(T) {
    return [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) {
      return std::make_unique<Elementwise<T>>(Activation::leaky_relu, p.input_of(s[0]), static_cast<T>(o.real("slope", 0, 1e6)));
    };
  };
  const auto elu = []<class T>(T) {
    return [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) {
      return std::make_unique<Elementwise<T>>(Activation::elu, p.input_of(s[0]), static_cast<T>(o.real("alpha", 0, 1e6)));
    };
  };
  const auto softplus = []<class T>(T) {
    return [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) {
      return std::make_unique<Elementwise<T>>(Activation::softplus, p.input_of(s[0]), static_cast<T>(o.real("beta", 1e-6, 1e6)), static_cast<T>(o.real("threshold", 0, 1e6)));
    };
  };
  return {elementwise_kind("relu", Activation::relu, "max(0, x)"),
          {"leaky_relu", "x, or slope x where x is negative", {{"slope", "0.01", "factor of negative values, not negative itself"}}, 1, leaky(float{}), leaky(double{}), ChannelRole::kept, PixelRole::pointwise},
          elementwise_kind("tanh", Activation::tanh, "tanh x"),
          elementwise_kind("sigmoid", Activation::sigmoid, "1 / (1 + exp(-x))"),
          elementwise_kind("gelu", Activation::gelu, "x Phi(x), the exact GELU"),
          elementwise_kind("silu", Activation::silu, "x / (1 + exp(-x))"),
          {"elu", "x, or alpha (exp(x) - 1) where x is negative", {{"alpha", "1", "what -x large tends to, times -1; not negative itself"}}, 1, elu(float{}), elu(double{}), ChannelRole::kept, PixelRole::pointwise},
          {"softplus", "log(1 + exp(beta x)) / beta, or x where beta x is above the threshold",
           {{"beta", "1", "sharpness of the bend"}, {"threshold", "20", "where it counts as straight"}}, 1, softplus(float{}), softplus(double{}), ChannelRole::kept, PixelRole::pointwise}};
}

LayerKind softmax_kind() {
  return {"softmax", "exp(x) / sum of exp(x) over the channels. Not needed before cross_entropy, which has it inside.", {}, 1,
          [](const LayerOptions&, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Softmax<float, false>>(p.input_of(s[0])); },
          [](const LayerOptions&, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Softmax<double, false>>(p.input_of(s[0])); }, ChannelRole::mixed, PixelRole::pointwise};
}

LayerKind log_softmax_kind() {
  return {"log_softmax", "Logarithm of softmax. Not needed before cross_entropy, which has it inside.", {}, 1,
          [](const LayerOptions&, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Softmax<float, true>>(p.input_of(s[0])); },
          [](const LayerOptions&, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<Softmax<double, true>>(p.input_of(s[0])); }, ChannelRole::mixed, PixelRole::pointwise};
}

}  // namespace trireme
