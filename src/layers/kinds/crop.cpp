// crop: removes pixels from the sides, as negative values of PyTorch's functional.pad.
#include "base/error.hpp"
#include "kokkos_kernels/boxes.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "layers/kind.hpp"
#include "layers/padding.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

/// The box of the whole input that remains.
Box rest_of(const LayerOptions& options, const Shape& input) {
  const int dims = spatial_dims(input, options);
  const Sides sides = sides_of(options, dims);
  Box rest;
  rest.extent = spatial_extents(input);
  for (std::size_t a = 0; a < 3; ++a) {
    rest.first[a] = sides.before[a];
    rest.extent[a] -= sides.before[a] + sides.after[a];
    if (rest.extent[a] < 1)
      throw usage_error("{}: {} pixel(s) in front and {} behind leave nothing of the input {}", options.where(), sides.before[a], sides.after[a], input.text());
  }
  return rest;
}

Box reach_of(const LayerOptions& options, const Shape& input, const Box& output) {
  Box reach = output;
  const Box rest = rest_of(options, input);
  for (std::size_t a = 0; a < 3; ++a) reach.first[a] += rest.first[a];
  return reach;
}

template <class T>
class Crop final : public Layer<T> {
 public:
  Crop(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part) {
    const Shape& whole = inputs[0];
    const Box rest = rest_of(options, whole), read = part.split ? reach_of(options, whole, part.output) : rest;
    forward_.channels = part.in.of(whole[0]);
    forward_.extent = forward_.to = read.extent;
    forward_.from = part.split ? part.input.extent : spatial_extents(whole);
    forward_.from_first = read.first;
    for (std::size_t a = 0; a < 3 && part.split; ++a) forward_.from_first[a] -= part.input.first[a];
    backward_ = forward_;
    std::swap(backward_.from, backward_.to);
    std::swap(backward_.from_first, backward_.to_first);
    elements_ = forward_.channels * forward_.from[0] * forward_.from[1] * forward_.from[2];
    this->output_ = spatial_shape(forward_.channels, forward_.to, whole.rank() - 1);
    this->needs_.input_in_backward = false;
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    copy_box<T>(pass.exec, pass.samples, forward_, inputs[0], output);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() == nullptr) return;
    fill<T>(pass.exec, pass.samples * elements_, T{}, dx[0]);
    copy_box<T>(pass.exec, pass.samples, backward_, dy, dx[0]);
  }

 private:
  BoxCopy forward_, backward_;
  std::int64_t elements_ = 0;  // of the input
};

}  // namespace

TRIREME_LAYER(crop) {
  return {
      .help = "Removes pixels from the sides, as torch.nn.functional.pad with negative numbers. The gradient of removed pixels is 0.",
      .options = side_options("Pixels removed from each side.", "Pixels removed in front; pixels: as `pixels`.", "Pixels removed behind; pixels: as `pixels`."),
      .make = maker_of<Crop>(),
      .channels = ChannelRole::kept,
      .pixels = PixelRole::window,
      .reach = reach_of};
}

}  // namespace trireme
