// A box of pixels: the part of a sample's spatial extents that one rank owns or requires. Always three dimensions, right-aligned as in
// layers/spatial.hpp: missing leading dimensions are [0, 1).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace trireme {

struct Box {
  std::array<std::int64_t, 3> first{0, 0, 0}, extent{1, 1, 1};

  std::int64_t end(std::size_t a) const { return first[a] + extent[a]; }
  std::int64_t pixels() const { return extent[0] * extent[1] * extent[2]; }
  bool operator==(const Box&) const = default;

  /// Intersection of two boxes; with extent 0 in some dimension if they are disjoint.
  Box intersection(const Box& other) const {
    Box common;
    for (std::size_t a = 0; a < 3; ++a) {
      common.first[a] = std::max(first[a], other.first[a]);
      common.extent[a] = std::max<std::int64_t>(0, std::min(end(a), other.end(a)) - common.first[a]);
    }
    return common;
  }
};

}  // namespace trireme
