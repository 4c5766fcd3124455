// batch_norm, as nn.BatchNorm1d-3d. In training a rank normalizes with the statistics of its own share of the batch, or with `sync` with those of the
// whole batch (as nn.SyncBatchNorm). If samples are split over ranks, the statistics always cover all their pixels. Evaluation uses the running
// statistics, which the network updates with the mean of the ranks' statistics, weighted by samples.
#include "kokkos_kernels/norm.hpp"
#include "layers/kind.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

template <class T>
class BatchNorm final : public Layer<T>, public FusesEpilogue {
 public:
  BatchNorm(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part)
      : channels_(part.in.of(channels_of(inputs[0]))),
        pixels_(pixels_of(part.input_of(inputs[0]))),
        eps_(options.real("eps", 0, 1e6)),
        sync_(options.boolean("sync") || part.split) {
    const Shape& whole = inputs[0];
    if (sync_) sharers_ = !part.split ? ReductionGroup::data : options.boolean("sync") ? ReductionGroup::data_and_pixels : ReductionGroup::pixels;
    this->output_ = part.input_of(whole);
    const Shape shape{channels_};
    const Slice slice = slice_of(Shape{channels_of(whole)}, {part.in.first});
    if (options.boolean("affine"))
      this->parameters_ = {{"weight", shape, {Initial::Kind::constant, 1}, slice}, {"bias", shape, {Initial::Kind::constant, 0}, slice}};
    const double momentum = options.real("momentum", 0, 1);
    this->buffers_ = {{"running_mean", shape, 0, momentum, slice}, {"running_var", shape, 1, momentum, slice}};
    this->needs_.state = (2 * channels_ + 1) * static_cast<std::int64_t>(sizeof(double)) + 2 * channels_ * static_cast<std::int64_t>(sizeof(T));
    this->needs_.keeps_state = true;
  }

  void plan_for(std::int64_t samples, ComputeType) override {
    blocks_ = batch_sums_workspace(samples * pixels_, channels_);
    this->needs_.workspace = doubles(blocks_ + 2 * channels_ + 1) + 3 * channels_;
  }
  Fusion fuse(const Epilogue& epilogue) override {
    if (!epilogue.is_relu()) return Fusion::none;
    relu_ = true;
    return Fusion::both;
  }

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
    const auto& batch_stats = this->memory_.batch_stats;
    const BatchMoments<T> moments = this->moments();
    batch_sums<T>(pass.exec, rows, channels_, inputs[0], buffers[0], partial(), sums());
    if (sync_ && pass.all_reduce) pass.all_reduce(pass.exec, sums(), sharers_);
    batch_moments<T>(pass.exec, channels_, sums(), buffers[0], eps_, static_cast<double>(pass.samples) / static_cast<double>(pass.copies), weight(), bias(),
                     moments, batch_stats[0], batch_stats[1]);
    scale_channels<T>(pass.exec, rows, channels_, inputs[0], moments.factor, moments.shift, output, relu_);
  }

  void recompute(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    const BatchMoments<T> moments = this->moments();
    scale_channels<T>(pass.exec, pass.samples * pixels_, channels_, inputs[0], moments.factor, moments.shift, output, relu_);
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
    if (sync_ && pass.all_reduce) pass.all_reduce(pass.exec, gradient_sums, sharers_);
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
  ReductionGroup sharers_ = ReductionGroup::data;
};

}  // namespace

TRIREME_LAYER(batch_norm) {
  return {.help =
              "Batch normalization of each channel, as nn.BatchNorm1d-3d. Evaluation uses the running statistics; with sync = false these are averaged "
              "over the ranks. Training is refused if a pass would have only one value per channel.",
          .options = {{"eps", "1e-5", "Added to the variance."},
                      {"momentum", "0.1", "running = (1 - m) * running + m * batch."},
                      {"affine", "true", "Learn a weight and a bias per channel."},
                      {"sync", "false", "Compute the statistics over the whole batch, as nn.SyncBatchNorm, instead of over one rank's share."}},
          .make = maker_of<BatchNorm>(),
          .channels = ChannelRole::kept,
          .pixels = PixelRole::pointwise};
}

}  // namespace trireme
