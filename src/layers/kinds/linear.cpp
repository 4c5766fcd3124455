// linear: y = x W^T + b over the features of a flat sample. W is (out, in) as PyTorch's nn.Linear.
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "kokkos_kernels/gemm.hpp"
#include "layers/kind.hpp"

namespace trireme {

namespace {

template <class T>
class Linear final : public Layer<T>, public FusesEpilogue, public SplitBackward<T> {
 public:
  Linear(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part)
      : in_(part.in.of(inputs[0].size())), out_(part.out.of(options.integer("out"))) {
    if (inputs[0].rank() != 1)
      throw usage_error("{}: needs a flat input, found shape {}. Hint: put 'layer = flatten' before it", options.where(), inputs[0].text());
    this->output_ = Shape{out_};
    this->multiply_adds_ = in_ * out_;
    const Shape whole{options.integer("out"), inputs[0].size()};
    const Initial initial{Initial::Kind::uniform, 1 / std::sqrt(static_cast<double>(whole[1]))};
    this->parameters_ = {{"weight", Shape{out_, in_}, initial, slice_of(whole, {part.out.first, part.in.first})}};
    if (options.boolean("bias") && part.adds_bias) this->parameters_.push_back({"bias", Shape{out_}, initial, slice_of(Shape{whole[0]}, {part.out.first})});
  }

  void plan_for(std::int64_t n, ComputeType operands) override {
    operands_ = operands;
    this->needs_.workspace = std::max({gemm_workspace(forward_shape(n)), gemm_workspace(data_shape(n)), gemm_workspace(weight_shape(n))});
  }
  Fusion fuse(const Epilogue& epilogue) override {
    if (!epilogue.is_relu()) return Fusion::none;
    relu_ = true;
    return Fusion::forward;
  }

  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    gemm<T>(pass.exec, in_order_of(pass, forward_shape(pass.samples)), inputs[0], this->memory_.parameters[0], output, this->memory_.workspace);
    if (relu_ || has_bias()) add_bias<T>(pass.exec, pass.samples, out_, has_bias() ? this->memory_.parameters[1] : Span<T>(), output, relu_);
  }

  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T>, Span<const T> dy, std::span<const Span<T>> input_gradients) override {
    backward_parameters(pass, inputs[0], Span<const T>(), dy);
    if (input_gradients[0].data() != nullptr) backward_input(pass, Span<const T>(), dy, input_gradients[0]);
  }
  void backward_input(const Pass& pass, Span<const T>, Span<const T> dy, Span<T> dx) override {
    gemm<T>(pass.exec, in_order_of(pass, data_shape(pass.samples)), dy, this->memory_.parameters[0], dx, this->memory_.workspace);
  }
  void backward_parameters(const Pass& pass, Span<const T> x, Span<const T>, Span<const T> dy) override {
    gemm<T>(pass.exec, in_order_of(pass, weight_shape(pass.samples)), dy, x, this->memory_.gradients[0], this->memory_.workspace);
    if (has_bias()) add_column_sums<T>(pass.exec, pass.samples, out_, dy, this->memory_.gradients[1]);
  }

 private:
  static Gemm<T> in_order_of(const Pass& pass, Gemm<T> shape) {
    shape.fixed_order = pass.fixed_order;
    return shape;
  }
  bool has_bias() const { return this->parameters_.size() == 2; }
  Gemm<T> forward_shape(std::int64_t n) const { return {Transpose::no, Transpose::yes, n, out_, in_, false, operands_}; }
  Gemm<T> data_shape(std::int64_t n) const { return {Transpose::no, Transpose::no, n, in_, out_, false, operands_}; }
  Gemm<T> weight_shape(std::int64_t n) const { return {Transpose::yes, Transpose::no, out_, in_, n, true, operands_}; }

  std::int64_t in_, out_;
  ComputeType operands_ = ComputeType::full;
  bool relu_ = false;
};

}  // namespace

TRIREME_LAYER(linear) {
  return {.help = "y = x W^T + b, as nn.Linear. The initial values are PyTorch's default distribution.",
          .options = {channels_option("out", "", "Number of output features."), {"bias", "true", "Add the learned bias b."}},
          .make = maker_of<Linear>(),
          .channels = ChannelRole::contracted};
}

}  // namespace trireme
