// upsample, as PyTorch's nn.Upsample by whole factors with align_corners = false.
#include "kokkos_kernels/upsample.hpp"

#include "base/error.hpp"
#include "layers/kinds.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

template <class T>
class Upsample final : public Layer<T> {
 public:
  Upsample(const LayerOptions& options, const Shape& input) {
    const int dims = spatial_dims(input, options);
    const std::string& mode = options.text("mode");
    if (mode != "nearest" && mode != "linear") throw usage_error("{}: mode = '{}' is neither nearest nor linear", options.where(), mode);
    geometry_.channels = input[0];
    geometry_.in = spatial_extents(input);
    geometry_.scale = options.extents("scale", dims, 1, 1);
    geometry_.linear = mode == "linear";
    this->output_ = spatial_shape(input[0], {geometry_.out(0), geometry_.out(1), geometry_.out(2)}, dims);
    this->needs_.input_in_backward = false;
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    upsample_forward<T>(pass.exec, geometry_, pass.samples, inputs[0], output);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() != nullptr) upsample_backward<T>(pass.exec, geometry_, pass.samples, dy, dx[0]);
  }

 private:
  UpsampleGeometry geometry_;
};

}  // namespace

LayerKind upsample_kind() {
  return {"upsample",
          "Enlarges in 1, 2 or 3 dimensions, as nn.Upsample with align_corners=False.",
          {{"scale", "", "whole factor of the extents"}, {"mode", "nearest", "nearest, or linear (PyTorch's linear, bilinear, trilinear)"}},
          1,
          [](const LayerOptions& o, const std::vector<Shape>& s) { return std::make_unique<Upsample<float>>(o, s[0]); },
          [](const LayerOptions& o, const std::vector<Shape>& s) { return std::make_unique<Upsample<double>>(o, s[0]); }};
}

}  // namespace trireme
