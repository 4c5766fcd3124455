// pixel_shuffle, as PyTorch's nn.PixelShuffle, in one to three dimensions.
#include "kokkos_kernels/pixel_shuffle.hpp"

#include "base/error.hpp"
#include "layers/kind.hpp"
#include "layers/pixel_map.hpp"

namespace trireme {

namespace {

PixelShuffleGeometry geometry_of(const LayerOptions& options, const Shape& input) {
  const int dims = spatial_dims(input, options);
  PixelShuffleGeometry g;
  g.factor = options.extents("factor", dims, 1);
  std::int64_t taps = 1;
  for (const std::int64_t factor : g.factor) taps = factor > most_channels / taps ? most_channels + 1 : taps * factor;
  if (input[0] % taps != 0)
    throw usage_error("{}: factor = {} needs a multiple of {} channels; found {}", options.where(), options.text("factor"), taps, input.text());
  g.channels = input[0] / taps;
  g.in = spatial_extents(input);
  for (std::size_t a = 0; a < 3; ++a) g.out[a] = g.in[a] * g.factor[a];
  return g;
}

Box reach_of(const LayerOptions& options, const Shape& input, const Box& output) {
  const PixelShuffleGeometry g = geometry_of(options, input);
  Box reach;
  for (std::size_t a = 0; a < 3; ++a) {
    reach.first[a] = output.first[a] / g.factor[a];
    reach.extent[a] = (output.end(a) - 1) / g.factor[a] + 1 - reach.first[a];
  }
  return reach;
}

template <class T>
class PixelShuffle final : public PixelMap<T, PixelShuffleGeometry, &pixel_shuffle_forward<T>, &pixel_shuffle_backward<T>> {
 public:
  PixelShuffle(const LayerOptions& options, const std::vector<Shape>& inputs, const LayerPart& part)
      : PixelShuffle::PixelMap(of_part(geometry_of(options, inputs[0]), part), inputs[0].rank() - 1) {}
};

}  // namespace

TRIREME_LAYER(pixel_shuffle) {
  return {.help = "Turns channels into pixels: (C r r, H, W) to (C, H r, W r), as nn.PixelShuffle; also in 1 and 3 dimensions.",
          .options = {places_option("factor", "", "Upscaling factor r.", 1)},
          .make = maker_of<PixelShuffle>(),
          .channels = ChannelRole::mixed,
          .pixels = PixelRole::window,
          .reach = reach_of};
}

}  // namespace trireme
