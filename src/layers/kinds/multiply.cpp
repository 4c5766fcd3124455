// multiply: the elementwise product of its inputs, broadcast as in PyTorch.
#include "kokkos_kernels/multiply.hpp"

#include "base/error.hpp"
#include "layers/kind.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

/// The shape of the product of whole inputs. An input without pixels, (C), counts as (C, 1, ...).
Shape product_of(const LayerOptions& options, const std::vector<Shape>& inputs) {
  if (inputs.size() > MultiplyGeometry::most)
    throw usage_error("{}: takes at most {} inputs; found {}. Hint: use two multiply layers", options.where(), MultiplyGeometry::most, inputs.size());
  Shape product = inputs[0];
  for (const Shape& shape : inputs) {
    const Shape longer = shape.rank() > product.rank() ? shape : product, shorter = shape.rank() > product.rank() ? product : shape;
    product = longer;
    bool fits = shorter.rank() == longer.rank() || shorter.rank() == 1;
    for (int a = 0; a < shorter.rank() && fits; ++a) {
      fits = shorter[a] == longer[a] || shorter[a] == 1 || longer[a] == 1;
      product[a] = std::max(shorter[a], longer[a]);
    }
    if (!fits)
      throw usage_error("{}: the inputs {} and {} cannot be multiplied. Expected shapes that agree, except for extents of 1; C counts as Cx1x1",
                        options.where(), inputs[0].text(), shape.text());
  }
  if (product.rank() > 4) throw usage_error("{}: the inputs have more than 3 spatial dimensions: {}", options.where(), product.text());
  return product;
}

template <class T>
class Multiply final : public Layer<T> {
 public:
  Multiply(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part) {
    const Shape whole = product_of(options, inputs);
    const auto extents = spatial_extents(whole);
    geometry_.count = static_cast<int>(inputs.size());
    geometry_.channels = part.in.of(whole[0]);
    geometry_.out = part.split ? part.output.extent : extents;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      MultiplyOperand& operand = geometry_.operand[k];
      const auto own = spatial_extents(inputs[k]);
      // An input with all pixels of the product is split as the product is; any other one is whole on each rank.
      operand.extent = own == extents ? geometry_.out : own;
      operand.channels = inputs[k][0] == whole[0] ? geometry_.channels : 1;
      for (std::size_t a = 0; a < 3; ++a) {
        operand.broadcast[a] = own[a] < extents[a];
        operand.first[a] = own == extents || operand.broadcast[a] || !part.split ? 0 : part.output.first[a];
      }
    }
    this->output_ = whole.rank() < 2 ? Shape{geometry_.channels} : spatial_shape(geometry_.channels, geometry_.out, whole.rank() - 1);
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    multiply_forward<T>(pass.exec, geometry_, pass.samples, array_of(inputs), output);
  }
  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    for (std::size_t k = 0; k < dx.size(); ++k)
      if (dx[k].data() != nullptr) multiply_backward<T>(pass.exec, geometry_, pass.samples, array_of(inputs), dy, static_cast<int>(k), dx[k]);
  }

 private:
  static MultiplyInputs<T> array_of(std::span<const Span<const T>> inputs) {
    MultiplyInputs<T> all;
    std::ranges::copy(inputs, all.begin());
    return all;
  }

  MultiplyGeometry geometry_;
};

}  // namespace

TRIREME_LAYER(multiply) {
  return {.help = "Elementwise product of the inputs that `from` names. Extents of 1 are broadcast, as in PyTorch; an input C counts as Cx1x1.",
          .make = maker_of<Multiply>(),
          .inputs = 0,
          .channels = ChannelRole::kept,
          .pixels = PixelRole::pointwise};
}

}  // namespace trireme
