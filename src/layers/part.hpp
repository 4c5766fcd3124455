// The part of a layer that one rank computes: some of its channels, some of its pixels. The whole by default.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "base/box.hpp"
#include "base/shape.hpp"
#include "layers/layer.hpp"
#include "layers/spatial.hpp"

namespace trireme {

/// Channels (or features of a flat sample) [first, first + count); count 0: all.
struct ChannelRange {
  std::int64_t first = 0, count = 0;

  bool whole() const { return count == 0; }
  std::int64_t of(std::int64_t channels) const { return whole() ? channels : count; }
  bool operator==(const ChannelRange&) const = default;
};

/// The place of a part in a parameter of this whole shape, which begins at `first` (of the leading extents; 0 else).
inline Slice slice_of(const Shape& whole, std::initializer_list<std::int64_t> first) {
  Slice slice{whole, {}};
  std::copy(first.begin(), first.end(), slice.first.begin());
  return slice;
}

struct LayerPart {
  ChannelRange in, out;    // the same in layers that keep channels apart
  bool split = false;      // pixels are split: `input` is what is at hand of the input, `output` what is made, as boxes of the whole sample
  Box input, output;
  bool adds_bias = true;   // false: the sums are partial, and who adds them up adds the bias too

  /// What this rank holds of an input, and of an output, of that whole shape.
  Shape input_of(const Shape& whole) const { return part_of(whole, in, input); }
  Shape output_of(const Shape& whole) const { return part_of(whole, out, output); }

 private:
  Shape part_of(const Shape& whole, const ChannelRange& channels, const Box& box) const {
    if (whole.rank() < 2) return Shape{channels.of(whole[0])};
    return spatial_shape(channels.of(whole[0]), split ? box.extent : spatial_extents(whole), whole.rank() - 1);
  }
};

}  // namespace trireme
