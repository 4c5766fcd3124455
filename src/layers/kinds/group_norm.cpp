// group_norm, instance_norm and layer_norm, as PyTorch's nn.GroupNorm, nn.InstanceNorm1d-3d and nn.LayerNorm: each sample by its own moments, in
// training and outside.
#include <algorithm>

#include "base/error.hpp"
#include "kokkos_kernels/norm.hpp"
#include "layers/kind.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

template <class T>
class GroupNorm final : public Layer<T> {
 public:
  /// `instances`: how many of `shape` a sample has. `affine`: shape of weight and bias; of rank 0: there are none.
  /// `whole_pixels`: pixels of an instance over all ranks, where others hold some.
  GroupNorm(const Shape& input, const NormGroups& shape, std::int64_t instances, const Shape& affine, double eps, std::int64_t whole_pixels = 0,
            const Slice& slice = {})
      : shape_(shape), instances_(instances), eps_(eps), whole_pixels_(whole_pixels) {
    this->output_ = input;
    if (affine.rank() > 0) this->parameters_ = {{"weight", affine, {Initial::Kind::constant, 1}, slice}, {"bias", affine, {Initial::Kind::constant, 0}, slice}};
    this->needs_.state_per_sample = moments_of(1) * static_cast<std::int64_t>(sizeof(T));
    this->needs_.keeps_state = true;
  }

  void plan_for(std::int64_t samples, ComputeType) override {
    const std::int64_t shared = shared_doubles(samples);
    this->needs_.workspace = (doubles(samples) + shared) * static_cast<std::int64_t>(sizeof(double) / sizeof(T)) + moments_of(samples);
  }

  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    const Span<T> moments = pass.training ? this->moments() : scratch(pass.samples);
    const std::int64_t n = pass.samples * instances_;
    group_moments<T>(pass.exec, n, shape_, eps_, inputs[0], partial(pass.samples), moments);
    if (whole_pixels_ > 0 && pass.all_reduce) {
      const Span<double> sums = shared(pass.samples, 3 * n * shape_.groups);
      group_moments_to_sums<T>(pass.exec, n, shape_, eps_, moments, sums);
      pass.all_reduce(pass.exec, sums, ReductionGroup::pixels);
      group_moments_from_sums<T>(pass.exec, n, shape_, eps_, sums, moments);
    }
    group_norm_forward<T>(pass.exec, n, shape_, inputs[0], moments, parameter(0), parameter(1), output);
  }

  void recompute(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    group_norm_forward<T>(pass.exec, pass.samples * instances_, shape_, inputs[0], moments(), parameter(0), parameter(1), output);
  }

  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    const std::int64_t n = pass.samples * instances_;
    const Span<T> sums = scratch(pass.samples);
    group_norm_sums<T>(pass.exec, n, shape_, inputs[0], dy, moments(), parameter(0), partial(pass.samples), sums, gradient(0), gradient(1));
    if (dx[0].data() == nullptr) return;
    if (whole_pixels_ > 0 && pass.all_reduce) {
      // Means over this rank's pixels become their part of the mean over all.
      const std::int64_t count = 2 * n * shape_.groups;
      const Span<double> parts = shared(pass.samples, count);
      convert_scaled<T, double>(pass.exec, count, static_cast<double>(shape_.pixels) / static_cast<double>(whole_pixels_), slice<T>(sums, 0, count), parts);
      pass.all_reduce(pass.exec, parts, ReductionGroup::pixels);
      convert_scaled<double, T>(pass.exec, count, 1, parts, slice<T>(sums, 0, count));
    }
    group_norm_backward<T>(pass.exec, n, shape_, inputs[0], dy, moments(), parameter(0), sums, dx[0]);
  }

 private:
  std::int64_t moments_of(std::int64_t samples) const { return samples * instances_ * 2 * shape_.groups; }
  std::int64_t doubles(std::int64_t samples) const {
    return std::max(group_moments_workspace(samples * instances_, shape_), group_sums_workspace(samples * instances_, shape_));
  }
  Span<double> partial(std::int64_t samples) const {
    return {reinterpret_cast<double*>(this->memory_.workspace.data()), static_cast<std::size_t>(doubles(samples))};
  }
  Span<T> moments() const { return {reinterpret_cast<T*>(this->memory_.state.data()), this->memory_.state.size() / sizeof(T)}; }
  std::int64_t shared_doubles(std::int64_t samples) const { return whole_pixels_ > 0 ? 3 * samples * instances_ * shape_.groups : 0; }
  Span<double> shared(std::int64_t samples, std::int64_t count) const {
    return {reinterpret_cast<double*>(this->memory_.workspace.data()) + doubles(samples), static_cast<std::size_t>(count)};
  }
  Span<T> scratch(std::int64_t samples) const {
    return slice<T>(this->memory_.workspace, (doubles(samples) + shared_doubles(samples)) * static_cast<std::int64_t>(sizeof(double) / sizeof(T)),
                    moments_of(samples));
  }
  Span<T> parameter(std::size_t i) const { return this->memory_.parameters.empty() ? Span<T>() : this->memory_.parameters[i]; }
  Span<T> gradient(std::size_t i) const { return this->memory_.gradients.empty() ? Span<T>() : this->memory_.gradients[i]; }

  NormGroups shape_;
  std::int64_t instances_;
  double eps_;
  std::int64_t whole_pixels_;
};

double eps_of(const LayerOptions& options) { return options.real("eps", 0, 1e6); }

/// One moment for each of `groups` runs of channels.
template <class T>
std::unique_ptr<Layer<T>> make_grouped(const LayerOptions& options, const Shape& whole, std::int64_t groups, const LayerPart& part) {
  const Shape input = part.input_of(whole);
  const NormGroups shape{pixels_of(input), channels_of(input), groups * channels_of(input) / channels_of(whole)};
  return std::make_unique<GroupNorm<T>>(input, shape, 1, options.boolean("affine") ? Shape{shape.channels} : Shape(), eps_of(options),
                                        part.split ? pixels_of(whole) : 0, slice_of(Shape{channels_of(whole)}, {part.in.first}));
}

template <class T>
std::unique_ptr<Layer<T>> make_group_norm(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part) {
  const std::int64_t groups = options.integer("groups"), channels = channels_of(inputs[0]);
  if (channels % groups != 0) throw usage_error("{}: groups = {} must divide the {} channels", options.where(), groups, channels);
  return make_grouped<T>(options, inputs[0], groups, part);
}

template <class T>
std::unique_ptr<Layer<T>> make_instance_norm(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part) {
  spatial_dims(inputs[0], options);
  return make_grouped<T>(options, inputs[0], channels_of(inputs[0]), part);
}

template <class T>
std::unique_ptr<Layer<T>> make_layer_norm(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart&) {
  const Shape& input = inputs[0];
  const std::int64_t dims = options.text("dims") == "all" ? input.rank() : options.integer("dims");
  if (dims > input.rank()) throw usage_error("{}: dims = {} is more than its input {} has", options.where(), dims, input.text());
  const Shape normalized = input.without_first(input.rank() - static_cast<int>(dims));
  // Channels-last: of the whole sample the channels are the fastest; else each channel has its own moments over the last extents.
  NormGroups shape{pixels_of(input), channels_of(input), 1, pixels_of(input), 1};
  std::int64_t instances = 1;
  if (dims < input.rank()) shape = {normalized.size(), channels_of(input), channels_of(input), 0, 1}, instances = pixels_of(input) / shape.pixels;
  return std::make_unique<GroupNorm<T>>(input, shape, instances, options.boolean("affine") ? normalized : Shape(), eps_of(options));
}

}  // namespace

TRIREME_LAYER(group_norm) {
  return {.help = "Group normalization of each sample, as nn.GroupNorm.",
          .options = {channels_option("groups", "", "Number of channel groups; each group has its own statistics."),
                      {"eps", "1e-5", "Added to the variance."},
                      {"affine", "true", "Learn a weight and a bias per channel."}},
          .make = []<class T>(const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) { return make_group_norm<T>(o, s, p); },
          .channels = ChannelRole::kept,
          .pixels = PixelRole::pointwise,
          .channel_unit = [](const LayerOptions& o, const Shape& input) { return channels_of(input) / o.integer("groups"); }};
}

TRIREME_LAYER(instance_norm) {
  return {.help = "Instance normalization: normalizes each channel of each sample, as nn.InstanceNorm1d-3d.",
          .options = {{"eps", "1e-5", "Added to the variance."}, {"affine", "false", "Learn a weight and a bias per channel."}},
          .make = []<class T>(const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) { return make_instance_norm<T>(o, s, p); },
          .channels = ChannelRole::kept,
          .pixels = PixelRole::pointwise};
}

TRIREME_LAYER(layer_norm) {
  return {.help = "Layer normalization of each sample over its last dimensions (channels first), as nn.LayerNorm.",
          .options = {{"dims", "all", "Number of last dimensions to normalize over; all: the whole sample.", 1, Shape::max_rank},
                      {"eps", "1e-5", "Added to the variance."},
                      {"affine", "true", "Learn a weight and a bias per element."}},
          .make = []<class T>(const LayerOptions& o, const std::vector<Shape>& s, const LayerPart& p) { return make_layer_norm<T>(o, s, p); }};
}

}  // namespace trireme
