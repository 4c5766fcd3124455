#include "train/rollout.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "kokkos_kernels/rescale.hpp"
#include "layers/spatial.hpp"
#include "train/reading.hpp"

namespace trireme {

namespace {

template <class T>
Buffer<T> on_device(const std::vector<double>& numbers, const char* label) {
  Buffer<T> buffer(label, numbers.size());
  const auto host = Kokkos::create_mirror_view(buffer);
  for (std::size_t i = 0; i < numbers.size(); ++i) host(i) = static_cast<T>(numbers[i]);
  Kokkos::deep_copy(buffer, host);
  return buffer;
}

bool same_data(const ArraySource& a, const ArraySource& b) {
  return a.axes.text() == b.axes.text() && a.file == b.file && a.replace_from == b.replace_from &&
         std::ranges::equal(a.parts, b.parts, {}, &ArrayPart::text, &ArrayPart::text);
}

}  // namespace

template <class T>
Rollout<T>::Rollout(const Deck& deck, const Network<T>& network)
    : pixels_(pixels_of(network.input_shape())), channels_(channels_of(network.input_shape())), outputs_(channels_of(network.output_shape())) {
  const ShardNames names = shard_names(deck);
  if (names.feature_arrays.empty() || names.label_arrays.size() != 1)
    throw usage_error("a rollout needs [array features] and [array labels] with time steps. Hint: give both the same data, and the labels window = 1");
  const ArraySource& target = names.label_arrays.front();
  const ArraySource* state = nullptr;
  for (const ArraySource& array : names.feature_arrays) {
    const std::int64_t own = array.expected.rank() > 0 ? array.expected[0] : channels_;
    if (same_data(array, target)) {
      state = &array;
      window_ = static_cast<std::int64_t>(std::max<std::size_t>(1, array.window.size()));
      if (own != window_ * outputs_)
        throw usage_error("a rollout is not possible: [array {}] has {} channels in {} time steps, and the network's output has {} channels", array.name, own,
                          window_, outputs_);
      break;
    }
    first_ += own;
  }
  if (state == nullptr)
    throw usage_error("a rollout is not possible: no input of the network has the data of [array {}], so its output is not the next input", target.name);
  const std::int64_t newest = state->window.empty() ? 0 : state->window.back();
  for (std::int64_t w = 0; w < window_ && !state->window.empty(); ++w)
    if (state->window[static_cast<std::size_t>(w)] != newest - window_ + 1 + w)
      throw usage_error("a rollout is not possible: the window of [array {}] leaves out time steps", state->name);
  if (target.window != std::vector<std::int64_t>{newest + 1})
    throw usage_error("a rollout is not possible: the newest time step of [array {}] is {}, so the window of [array {}] must be {}", state->name, newest,
                      target.name, newest + 1);
  if (pixels_of(network.output_shape()) != pixels_)
    throw usage_error("a rollout is not possible: the network's output {} and its input {} have different pixels", network.output_shape().text(),
                      network.input_shape().text());

  const Normalization inputs = normalization(deck, network.input_shape());
  const auto targets = output_normalization(deck, network.output_shape());
  std::vector<double> factor, shift;
  for (std::int64_t c = 0; c < outputs_; ++c) {
    // One normalization for all time steps of a channel.
    const auto newest_channel = static_cast<std::size_t>(first_ + (window_ - 1) * outputs_ + c), channel = static_cast<std::size_t>(c);
    const double a = targets ? targets->factor[channel] : 1, b = targets ? targets->shift[channel] : 0;
    factor.push_back(inputs.factor[newest_channel] / a);
    shift.push_back(inputs.shift[newest_channel] - b * inputs.factor[newest_channel] / a);
  }
  factor_ = on_device<T>(factor, "trireme::rollout::factor");
  shift_ = on_device<T>(shift, "trireme::rollout::shift");
  const auto samples = static_cast<std::size_t>(network.largest_batch());
  kept_ = Buffer<T>("trireme::rollout::input", samples * static_cast<std::size_t>(pixels_ * channels_));
  next_ = Buffer<T>("trireme::rollout::next", samples * static_cast<std::size_t>(pixels_ * std::max(outputs_, window_ * outputs_)));
}

template <class T>
void Rollout<T>::begin(const Execution& exec, std::int64_t samples, Span<const T> input) {
  copy<T>(exec, samples * pixels_ * channels_, input, kept_);
}

template <class T>
void Rollout<T>::advance(const Execution& exec, std::int64_t samples, Span<const T> output, Span<T> input) {
  const std::int64_t rows = samples * pixels_, older = (window_ - 1) * outputs_;
  if (older > 0) {
    copy_columns<T>(exec, rows, older, kept_, channels_, first_ + outputs_, next_, older, 0);
    copy_columns<T>(exec, rows, older, next_, older, 0, kept_, channels_, first_);
  }
  rescale<T>(exec, rows, outputs_, output, factor_, shift_, next_);
  copy_columns<T>(exec, rows, outputs_, next_, outputs_, 0, kept_, channels_, first_ + older);
  copy<T>(exec, rows * channels_, kept_, input);
}

template class Rollout<float>;
template class Rollout<double>;

}  // namespace trireme
