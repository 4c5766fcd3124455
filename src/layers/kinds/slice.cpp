// slice: some of the channels, as x[:, first:end] in PyTorch.
#include "base/error.hpp"
#include "base/text.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "layers/kind.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

ChannelRange range_of(const LayerOptions& options, const Shape& input) {
  const std::string& text = options.text("channels");
  const auto parts = split(text, ':');
  if (parts.size() != 2) throw usage_error("{}: channels = '{}' is no range. Expected FIRST:END, as in 2:5 for the channels 2, 3 and 4", options.where(), text);
  const auto bound = [&](const std::string& part, std::int64_t open) { return part.empty() ? open : parse_integer(part, options.where() + " channels"); };
  const std::int64_t first = bound(parts[0], 0), end = bound(parts[1], input[0]);
  if (first < 0 || end > input[0] || first >= end)
    throw usage_error("{}: channels = {} does not fit an input of {} channels ({}). Expected FIRST:END with 0 <= FIRST < END <= {}", options.where(), text,
                      input[0], input.text(), input[0]);
  return {first, end - first};
}

template <class T>
class ChannelSlice final : public Layer<T> {
 public:
  ChannelSlice(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part)
      : range_(range_of(options, inputs[0])), channels_(inputs[0][0]), pixels_(pixels_of(part.input_of(inputs[0]))) {
    this->output_ = part.input_of(inputs[0]).without_first().with_first(range_.count);
    this->needs_.input_in_backward = false;
  }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override {
    copy_columns<T>(pass.exec, pass.samples * pixels_, range_.count, inputs[0], channels_, range_.first, output, range_.count, 0);
  }
  void backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) override {
    if (dx[0].data() == nullptr) return;
    fill<T>(pass.exec, pass.samples * pixels_ * channels_, T{}, dx[0]);
    copy_columns<T>(pass.exec, pass.samples * pixels_, range_.count, dy, range_.count, 0, dx[0], channels_, range_.first);
  }

 private:
  ChannelRange range_;
  std::int64_t channels_, pixels_;
};

}  // namespace

TRIREME_LAYER(slice) {
  return {.help = "Some of the channels, as x[:, FIRST:END] in PyTorch. The gradient of the other channels is 0.",
          .options = {{"channels", "", "FIRST:END, from channel FIRST up to, but not including, END, counted from 0. FIRST: and :END go to the ends."}},
          .make = maker_of<ChannelSlice>(),
          .channels = ChannelRole::mixed,
          .pixels = PixelRole::pointwise};
}

}  // namespace trireme
