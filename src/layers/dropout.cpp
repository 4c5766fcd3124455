// dropout, as PyTorch's nn.Dropout; nothing is stored for the backward pass.
#include "kokkos_kernels/dropout.hpp"

#include "base/random.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "layers/kinds.hpp"

namespace trireme {

namespace {

template <class T>
class Dropout final : public Layer<T> {
 public:
  Dropout(const LayerOptions& options, const Shape& input) : p_(options.real("p", 0, 1)), elements_(input.size()), key_(static_cast<std::uint64_t>(options.number())) {
    this->output_ = input;
    this->needs_ = {.input_in_backward = false, .output_in_backward = false, .in_place = true, .draws = true};
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override { apply(pass, inputs[0], output); }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr) apply(pass, dy, dx[0]);
  }

 private:
  void apply(const Pass& pass, Span<const T> x, Span<T> y) const {
    if (pass.training && p_ > 0) {
      const std::uint64_t key = mix(mix(pass.seed, static_cast<std::uint64_t>(pass.step)), key_);
      dropout<T>(pass.exec, pass.samples, elements_, p_, key, pass.first_sample, x, y);
    } else if (x.data() != y.data()) {
      copy<T>(pass.exec, pass.samples * elements_, x, y);
    }
  }

  double p_;
  std::int64_t elements_;
  std::uint64_t key_;
};

}  // namespace

LayerKind dropout_kind() {
  return {"dropout", "In training sets elements to 0 with probability p and scales the others by 1/(1-p), as nn.Dropout.",
          {{"p", "0.5", "probability of 0"}}, 1,
          [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart&) { return std::make_unique<Dropout<float>>(o, s[0]); },
          [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart&) { return std::make_unique<Dropout<double>>(o, s[0]); }};
}

}  // namespace trireme
