// Shapes of activations with spatial dimensions: (C, ...) with one to three extents, right-aligned in three.
#pragma once

#include <array>

#include "base/error.hpp"
#include "base/shape.hpp"
#include "kokkos_kernels/conv.hpp"
#include "layers/options.hpp"

namespace trireme {

/// Number of spatial dimensions of an input that must have one to three; otherwise a usage error names the layer.
inline int spatial_dims(const Shape& input, const LayerOptions& options) {
  if (input.rank() < 2 || input.rank() > 4)
    throw usage_error("{}: needs an input with channels and 1 to 3 spatial dimensions, such as 3x32x32; found {}", options.where(), input.text());
  return input.rank() - 1;
}

inline std::array<std::int64_t, 3> spatial_extents(const Shape& shape) {
  if (shape.rank() > 4) throw internal_error("{} has more than 3 spatial dimensions", shape.text());
  std::array<std::int64_t, 3> extents{1, 1, 1};
  for (int a = 1; a < shape.rank(); ++a) extents[static_cast<std::size_t>(3 - shape.rank() + a)] = shape[a];
  return extents;
}

inline Shape spatial_shape(std::int64_t channels, const std::array<std::int64_t, 3>& extents, int dims) {
  if (dims < 0 || dims > 3) throw internal_error("a shape of {} spatial dimensions", dims);
  Shape shape{channels};
  for (int a = 3 - dims; a < 3; ++a) {
    Shape longer = shape.with_first(0);
    for (int i = 0; i < shape.rank(); ++i) longer[i] = shape[i];
    longer[shape.rank()] = extents[static_cast<std::size_t>(a)];
    shape = longer;
  }
  return shape;
}

/// The options groups, kernel, stride, padding and dilation, and the channels of a convolution. Throws a usage error if groups does not divide them.
ConvGeometry taps_of(const LayerOptions& options, int dims, std::int64_t input_channels, std::int64_t output_channels);

/// Throws a usage error if the index lists or the matrix products of a convolution are too large. `g`: as in PyTorch's conv, or transposed.
void check_size(const ConvGeometry& g, const LayerOptions& options);

/// Channels and pixels of an activation: (C, ...) -> C, product of the rest.
inline std::int64_t channels_of(const Shape& shape) { return shape[0]; }
inline std::int64_t pixels_of(const Shape& shape) { return shape.size() / shape[0]; }

}  // namespace trireme
