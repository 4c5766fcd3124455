// The part of a layer that one rank computes: some of its channels, some of its pixels. Default: the whole layer.
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

/// The slice of a parameter of this whole shape that begins at `first` (leading extents; 0 for the others).
inline Slice slice_of(const Shape& whole, std::initializer_list<std::int64_t> first) {
  Slice slice{whole, {}};
  std::copy(first.begin(), first.end(), slice.first.begin());
  return slice;
}

/// Calls f(offset in the whole, offset in the part, count) for each contiguous run of elements of a part of this shape.
template <class F>
void for_part(const Shape& part, const Slice& slice, const F& f) {
  if (!slice.is_part() || part.rank() == 0) return f(std::int64_t{0}, std::int64_t{0}, part.size());
  const int last = part.rank() - 1;
  const std::int64_t run = part[last], rows = part.size() / run;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t rest = row, place = 0, stride = slice.whole[last];
    for (int d = last - 1; d >= 0; --d) {
      place += (rest % part[d] + slice.first[static_cast<std::size_t>(d)]) * stride;
      rest /= part[d];
      stride *= slice.whole[d];
    }
    f(place + slice.first[static_cast<std::size_t>(last)], row * run, run);
  }
}
/// Copy a part from a whole array, and into one.
template <class T>
void take_part(const Shape& part, const Slice& slice, const T* whole, T* to) {
  for_part(part, slice, [&](std::int64_t from, std::int64_t at, std::int64_t count) { std::copy_n(whole + from, count, to + at); });
}
template <class T>
void put_part(const Shape& part, const Slice& slice, const T* from, T* whole) {
  for_part(part, slice, [&](std::int64_t to, std::int64_t at, std::int64_t count) { std::copy_n(from + at, count, whole + to); });
}

struct LayerPart {
  ChannelRange in, out;  // equal in layers that treat channels independently
  bool split = false;    // pixels are split: `input` and `output` are this rank's boxes of the whole sample
  Box input, output;
  bool adds_bias = true;  // false: the outputs are partial sums, and the layer that all-reduces them adds the bias

  /// This rank's shape of an input, and of an output, of that whole shape.
  Shape input_of(const Shape& whole) const { return part_of(whole, in, input); }
  Shape output_of(const Shape& whole) const { return part_of(whole, out, output); }

 private:
  Shape part_of(const Shape& whole, const ChannelRange& channels, const Box& box) const {
    if (whole.rank() < 2) return Shape{channels.of(whole[0])};
    return spatial_shape(channels.of(whole[0]), split ? box.extent : spatial_extents(whole), whole.rank() - 1);
  }
};

}  // namespace trireme
