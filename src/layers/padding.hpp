// Options of padding, and what padding reads: for `pad`, `crop`, and `padding_mode` of `conv`.
#pragma once

#include "kokkos_kernels/pad.hpp"
#include "layers/part.hpp"

namespace trireme {

inline constexpr const char* pad_modes_help =
    "zeros; reflect: mirror at the border pixel, which is not repeated; replicate: repeat the border pixel; circular: the pixels from the other end. One for "
    "all "
    "dimensions, or one per dimension, as in reflect,circular.";

/// The modes of all dimensions, right-aligned in three. Usage errors name the value and the choices.
std::array<PadMode, 3> pad_modes(const LayerOptions& options, const std::string& name, int dims);

/// The options `pixels`, `before` and `after` of pad and crop.
std::vector<OptionSpec> side_options(const char* pixels, const char* before, const char* after);
struct Sides {
  std::array<std::int64_t, 3> before, after;
};
Sides sides_of(const LayerOptions& options, int dims);

/// Padding of a whole sample. Usage errors: a side that is too large for its mode, as in PyTorch: reflect needs more pixels than it adds, circular at least as
/// many.
PadGeometry pad_geometry(const LayerOptions& options, const Shape& input, const std::array<PadMode, 3>& modes, const Sides& sides);
/// The box of the input that a box of the output depends on. Along a circular dimension it may begin before 0 and end after the sample.
Box pad_reach(const PadGeometry& whole, const Box& output);
/// The padding that computes a box of the output from a box of the input, for some of the channels.
PadGeometry pad_part(PadGeometry whole, const Box& input, const Box& output, std::int64_t channels);

}  // namespace trireme
