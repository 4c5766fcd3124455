#include "layers/spatial.hpp"

#include <algorithm>

#include "base/checked.hpp"

namespace trireme {

namespace {

constexpr std::int64_t most_taps = 65536;
constexpr std::int64_t most_residues = 65536;  // of the stride: the backward pass has a list of taps for each

}  // namespace

ConvGeometry taps_of(const LayerOptions& options, int dims, std::int64_t input_channels, std::int64_t output_channels) {
  ConvGeometry g;
  g.in_channels = input_channels;
  g.out_channels = output_channels;
  g.groups = options.integer("groups");
  if (input_channels % g.groups != 0 || output_channels % g.groups != 0)
    throw usage_error("{}: groups = {} must divide the {} input channels and the {} output channels", options.where(), g.groups, input_channels,
                      output_channels);
  g.kernel = options.extents("kernel", dims, 1);
  g.stride = options.extents("stride", dims, 1);
  g.padding = options.extents("padding", dims, 0);
  g.dilation = options.extents("dilation", dims, 1);
  return g;
}

void check_size(const ConvGeometry& g, const LayerOptions& options) {
  std::int64_t taps = 0, residues = 0, inside = 0, outside = 0, work = 0;
  if (!fits({g.kernel[0], g.kernel[1], g.kernel[2]}, taps) || taps > most_taps)
    throw usage_error("{}: a kernel of {}x{}x{} has too many elements. Expected at most {}", options.where(), g.kernel[0], g.kernel[1], g.kernel[2], most_taps);
  const auto residues_of = [&](std::size_t a) { return std::min(g.stride[a], g.in[a]); };
  if (!fits({residues_of(0), residues_of(1), residues_of(2)}, residues) || residues > most_residues)
    throw usage_error("{}: a stride of {}x{}x{} spans too many elements. Expected at most {}", options.where(), g.stride[0], g.stride[1], g.stride[2],
                      most_residues);
  const bool small = fits({g.in_channels, g.in[0], g.in[1], g.in[2]}, inside) && fits({g.out_channels, g.out[0], g.out[1], g.out[2]}, outside) &&
                     inside <= most_elements && outside <= most_elements;
  if (!small) throw usage_error("{}: the input or the output has more than {} elements per sample", options.where(), most_elements);
  if (!fits({g.in_channels / g.groups, g.out_channels, taps}, work) || work > most_elements)
    throw usage_error("{}: a weight of {} x {} channels and {} kernel elements has more than {} elements", options.where(), g.out_channels,
                      g.in_channels / g.groups, taps, most_elements);
  if (!fits({work, g.out[0], g.out[1], g.out[2]}, work))
    throw usage_error("{}: the number of multiply-adds per sample does not fit in 64 bits", options.where());
}

}  // namespace trireme
