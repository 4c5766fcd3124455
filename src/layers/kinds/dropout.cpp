// dropout, as PyTorch's nn.Dropout; nothing is stored for the backward pass.
#include "kokkos_kernels/dropout.hpp"

#include "base/random.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "layers/kind.hpp"

namespace trireme {

namespace {

template <class T>
class Dropout final : public Layer<T> {
 public:
  Dropout(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part)
      : p_(options.real("p", 0, 1)), elements_(part.input_of(inputs[0]).size()), key_(static_cast<std::uint64_t>(options.number())) {
    const Shape& whole = inputs[0];
    this->output_ = part.input_of(whole);
    region_.channels = whole[0];
    region_.first_channel = part.in.first;
    region_.local_channels = part.in.of(whole[0]);
    region_.extents = spatial_extents(whole);
    region_.box = part.split ? part.input : Box{{0, 0, 0}, region_.extents};
    this->needs_ = {.input_in_backward = false, .output_in_backward = false, .in_place = true, .is_stochastic = true};
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override { apply(pass, inputs[0], output); }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr) apply(pass, dy, dx[0]);
  }

 private:
  void apply(const Pass& pass, Span<const T> x, Span<T> y) const {
    if (pass.training && p_ > 0) {
      const std::uint64_t key = mix(mix(pass.seed, static_cast<std::uint64_t>(pass.step)), key_);
      dropout<T>(pass.exec, pass.samples, elements_, p_, key, pass.first_sample, x, y, region_);
    } else if (x.data() != y.data()) {
      copy<T>(pass.exec, pass.samples * elements_, x, y);
    }
  }

  double p_;
  std::int64_t elements_;
  std::uint64_t key_;
  Region region_;
};

}  // namespace

TRIREME_LAYER(dropout) {
  return {.help = "Dropout, as nn.Dropout: training sets elements to 0 with probability p and scales the others by 1/(1-p).",
          .options = {{"p", "0.5", "Probability that an element is set to 0."}},
          .make = maker_of<Dropout>(),
          .channels = ChannelRole::kept,
          .pixels = PixelRole::pointwise};
}

}  // namespace trireme
