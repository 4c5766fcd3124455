// batch_norm, as PyTorch's nn.BatchNorm1d-3d. In training a rank takes the moments of its own share of the batch, or with `sync` those of the
// whole batch (as nn.SyncBatchNorm); where samples are split, always those of all their pixels; outside training the running ones, which the network moves by the ranks' moments, weighted by samples.
#include "kokkos_kernels/norm.hpp"
#include "layers/kinds.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

template <class T>
class BatchNorm final : public Layer<T> {
 public:
  BatchNorm(const LayerOptions& options, const Shape& whole, const LayerPart& part)
      : channels_(part.in.of(channels_of(whole))), pixels_(pixels_of(part.input_of(whole))), eps_(options.real("eps", 0, 1e6)),
        sync_(options.boolean("sync") || part.split) {
    if (sync_) sharers_ = !part.split ? Sharers::data : options.boolean("sync") ? Sharers::data_and_pixels : Sharers::pixels;
    this->output_ = part.input_of(whole);
    const Shape shape{channels_};
    const Slice slice = slice_of(Shape{channels_of(whole)}, {part.in.first});
    if (options.boolean("affine"))
      this->parameters_ = {{"weight", shape, {Initial::Kind::constant, 1}, slice}, {"bias", shape, {Initial::Kind::constant, 0}, slice}};
    const double momentum = options.real("momentum", 0, 1);
    this->buffers_ = {{"running_mean", shape, 0, momentum, slice}, {"running_var", shape, 1, momentum, slice}};
    this->needs_.state = (2 * channels_ + 1) * static_cast<std::int64_t>(sizeof(double)) + 2 * channels_ * static_cast<std::int64_t>(sizeof(T));
  }

  void plan_for(std::int64_t samples, Operands) override {
    blocks_ = batch_sums_workspace(samples * pixels_, channels_);
    this->needs_.workspace = doubles(blocks_ + 2 * channels_ + 1) + 3 * channels_;
  }
  bool fuse_relu() override { return relu_ = true; }
  bool relu_in_backward() const override { return relu_; }

  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    const std::int64_t rows = pass.samples * pixels_;
    const auto& buffers = this->memory_.buffers;
    if (!pass.training) {
      const Span<T> factor = coefficients(), shift = slice<T>(factor, channels_, channels_);
      running_factors<T>(pass.exec, channels_, buffers[0], buffers[1], eps_, weight(), bias(), factor, shift);
      scale_channels<T>(pass.exec, rows, channels_, inputs[0], factor, shift, output, relu_);
      return;
    }
    if (!sync_ && rows == 0) return;
    const auto& observed = this->memory_.observed;
    const BatchMoments<T> moments = this->moments();
    batch_sums<T>(pass.exec, rows, channels_, inputs[0], buffers[0], partial(), sums());
    if (sync_ && pass.sum_over) pass.sum_over(pass.exec, sums(), sharers_);
    batch_moments<T>(pass.exec, channels_, sums(), buffers[0], eps_, static_cast<double>(pass.samples) / static_cast<double>(pass.copies), weight(), bias(), moments, observed[0], observed[1]);
    scale_channels<T>(pass.exec, rows, channels_, inputs[0], moments.factor, moments.shift, output, relu_);
  }

  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    const std::int64_t rows = pass.samples * pixels_;
    if (!sync_ && rows == 0) return;
    const auto& gradients = this->memory_.gradients;
    const bool affine = !gradients.empty();
    const BatchMoments<T> moments = this->moments();
    const Span<double> gradient_sums = slice<double>(sums(), 0, 2 * channels_);
    batch_gradient_sums<T>(pass.exec, rows, channels_, inputs[0], dy, moments, relu_, partial(), gradient_sums, affine ? gradients[0] : Span<T>(),
                           affine ? gradients[1] : Span<T>());
    if (dx[0].data() == nullptr) return;
    if (sync_ && pass.sum_over) pass.sum_over(pass.exec, gradient_sums, sharers_);
    batch_norm_backward<T>(pass.exec, rows, channels_, inputs[0], dy, moments, relu_, weight(), gradient_sums, coefficients(), dx[0]);
  }

 private:
  static std::int64_t doubles(std::int64_t count) { return count * static_cast<std::int64_t>(sizeof(double) / sizeof(T)); }

  Span<const T> weight() const { return this->memory_.parameters.empty() ? Span<const T>() : this->memory_.parameters[0]; }
  Span<const T> bias() const { return this->memory_.parameters.empty() ? Span<const T>() : this->memory_.parameters[1]; }

  // Workspace: sums of blocks, sums, coefficients.
  Span<double> scratch(std::int64_t first, std::int64_t count) const {
    return {reinterpret_cast<double*>(this->memory_.workspace.data()) + first, static_cast<std::size_t>(count)};
  }
  Span<double> partial() const { return scratch(0, blocks_); }
  Span<double> sums() const { return scratch(blocks_, 2 * channels_ + 1); }
  Span<T> coefficients() const { return slice<T>(this->memory_.workspace, doubles(blocks_ + 2 * channels_ + 1), 3 * channels_); }

  BatchMoments<T> moments() const {
    const auto count = static_cast<std::size_t>(channels_);
    double* const at = reinterpret_cast<double*>(this->memory_.state.data());
    T* const factor = reinterpret_cast<T*>(at + 2 * channels_ + 1);
    return {{at, count}, {at + channels_, count}, {at + 2 * channels_, 1}, {factor, count}, {factor + channels_, count}};
  }

  std::int64_t channels_, pixels_, blocks_ = 0;
  double eps_;
  bool sync_, relu_ = false;  // sync: moments are of more than this rank's rows
  Sharers sharers_ = Sharers::data;
};

}  // namespace

LayerKind batch_norm_kind() {
  return {"batch_norm",
          "Normalises each channel over the batch, as nn.BatchNorm1d-3d; outside training by running moments, means over the ranks where `sync` is false. "
          "A training in which some pass would have one value a channel is refused.",
          {{"eps", "1e-5", "added to the variance"},
           {"momentum", "0.1", "share of a batch in the running moments"},
           {"affine", "true", "whether weight and bias are learned"},
           {"sync", "false", "whether moments are those of the whole batch, not of a rank's share"}},
          1,
          [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<BatchNorm<float>>(o, s[0], p); },
          [](const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) { return std::make_unique<BatchNorm<double>>(o, s[0], p); },
          ChannelRole::kept, PixelRole::pointwise};
}

}  // namespace trireme
