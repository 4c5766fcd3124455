// group_norm, instance_norm and layer_norm, as PyTorch's nn.GroupNorm, nn.InstanceNorm1d-3d and nn.LayerNorm: each sample by its own moments, in
// training and outside.
#include "base/error.hpp"
#include "kokkos_kernels/norm.hpp"
#include "layers/kinds.hpp"
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
    if (affine.rank() > 0)
      this->parameters_ = {{"weight", affine, {Initial::Kind::constant, 1}, slice}, {"bias", affine, {Initial::Kind::constant, 0}, slice}};
    this->needs_.state_per_sample = moments_of(1) * static_cast<std::int64_t>(sizeof(T));
  }

  void plan_for(std::int64_t samples, Operands) override {
    const std::int64_t shared = shared_doubles(samples);
    this->needs_.workspace = (doubles(samples) + shared) * static_cast<std::int64_t>(sizeof(double) / sizeof(T)) + moments_of(samples);
  }

  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    const Span<T> moments = pass.training ? this->moments() : scratch(pass.samples);
    const std::int64_t n = pass.samples * instances_;
    group_moments<T>(pass.exec, n, shape_, eps_, inputs[0], moments);
    if (whole_pixels_ > 0 && pass.sum_over) {
      const Span<double> sums = shared(pass.samples, 3 * n * shape_.groups);
      group_moments_to_sums<T>(pass.exec, n, shape_, eps_, moments, sums);
      pass.sum_over(pass.exec, sums, Sharers::pixels);
      group_moments_from_sums<T>(pass.exec, n, shape_, eps_, sums, moments);
    }
    group_norm_forward<T>(pass.exec, pass.samples * instances_, shape_, inputs[0], moments, parameter(0), parameter(1), output);
  }

  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    const std::int64_t n = pass.samples * instances_;
    const Span<double> workspace(reinterpret_cast<double*>(this->memory_.workspace.data()), static_cast<std::size_t>(doubles(pass.samples)));
    const Span<T> sums = scratch(pass.samples);
    group_norm_sums<T>(pass.exec, n, shape_, inputs[0], dy, moments(), parameter(0), workspace, sums, gradient(0), gradient(1));
    if (dx[0].data() == nullptr) return;
    if (whole_pixels_ > 0 && pass.sum_over) {
      // Means over this rank's pixels become their part of the mean over all.
      const std::int64_t count = 2 * n * shape_.groups;
      const Span<double> parts = shared(pass.samples, count);
      convert_scaled<T, double>(pass.exec, count, static_cast<double>(shape_.pixels) / static_cast<double>(whole_pixels_), slice<T>(sums, 0, count), parts);
      pass.sum_over(pass.exec, parts, Sharers::pixels);
      convert_scaled<double, T>(pass.exec, count, 1, parts, slice<T>(sums, 0, count));
    }
    group_norm_backward<T>(pass.exec, n, shape_, inputs[0], dy, moments(), parameter(0), sums, dx[0]);
  }

 private:
  std::int64_t moments_of(std::int64_t samples) const { return samples * instances_ * 2 * shape_.groups; }
  std::int64_t doubles(std::int64_t samples) const { return group_sums_workspace(samples * instances_, shape_); }
  Span<T> moments() const { return {reinterpret_cast<T*>(this->memory_.state.data()), this->memory_.state.size() / sizeof(T)}; }
  std::int64_t shared_doubles(std::int64_t samples) const { return whole_pixels_ > 0 ? 3 * samples * instances_ * shape_.groups : 0; }
  Span<double> shared(std::int64_t samples, std::int64_t count) const {
    return {reinterpret_cast<double*>(this->memory_.workspace.data()) + doubles(samples), static_cast<std::size_t>(count)};
  }
  Span<T> scratch(std::int64_t samples) const {
    return slice<T>(this->memory_.workspace, (doubles(samples) + shared_doubles(samples)) * static_cast<std::int64_t>(sizeof(double) / sizeof(T)), moments_of(samples));
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

LayerKind group_norm_kind() {
  return {"group_norm",
          "Normalises each sample's groups of channels, as nn.GroupNorm.",
          {channels_option("groups", "", "how many runs of channels have moments of their own"),
           {"eps", "1e-5", "added to the variance"},
           {"affine", "true", "whether weight and bias, one a channel, are learned"}},
          1, make_group_norm<float>, make_group_norm<double>, ChannelRole::kept, PixelRole::pointwise, {},
          [](const LayerOptions& o, const Shape& input) { return channels_of(input) / o.integer("groups"); }};
}

LayerKind instance_norm_kind() {
  return {"instance_norm",
          "Normalises each channel of each sample, as nn.InstanceNorm1d-3d.",
          {{"eps", "1e-5", "added to the variance"}, {"affine", "false", "whether weight and bias, one a channel, are learned"}},
          1, make_instance_norm<float>, make_instance_norm<double>, ChannelRole::kept, PixelRole::pointwise};
}

LayerKind layer_norm_kind() {
  return {"layer_norm",
          "Normalises each sample, or each slice of its last dimensions (channels first), as nn.LayerNorm.",
          {{"dims", "all", "how many of the last dimensions are normalised together", 1, Shape::max_rank},
           {"eps", "1e-5", "added to the variance"},
           {"affine", "true", "whether weight and bias, one an element, are learned"}},
          1, make_layer_norm<float>, make_layer_norm<double>};
}

}  // namespace trireme
