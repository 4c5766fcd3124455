// The part of a sample's activation on one rank: a box of its pixels, and some of its channels. Random numbers for an element depend on its position
// in the whole activation, so all ranks together draw the same numbers as one rank would.
#pragma once

#include <Kokkos_Macros.hpp>
#include <array>
#include <cstdint>

#include "base/box.hpp"

namespace trireme {

/// A region as plain numbers, for kernels. Elements are numbered channels-last: pixel * channels + channel.
struct RegionMap {
  std::int64_t first[3], extent[3], whole[3];  // the box, and the extents (D, H, W) of the whole activation
  std::int64_t channels, first_channel, local_channels;
  /// Elements that are consecutive here are also consecutive in the whole, within runs of this length.
  std::int64_t run;

  KOKKOS_INLINE_FUNCTION std::int64_t global_element(std::int64_t local) const {
    const std::int64_t c = local % local_channels, p = local / local_channels;
    const std::int64_t x = p % extent[2], y = p / extent[2] % extent[1], z = p / (extent[2] * extent[1]);
    return (((first[0] + z) * whole[1] + first[1] + y) * whole[2] + first[2] + x) * channels + first_channel + c;
  }
};

struct Region {
  Box box;
  std::array<std::int64_t, 3> extents{1, 1, 1};  // of the whole activation, (D, H, W)
  std::int64_t channels = 1, first_channel = 0, local_channels = 1;

  /// The whole activation; a default Region means this for any activation.
  bool whole() const { return box.first == std::array<std::int64_t, 3>{} && box.extent == extents && local_channels == channels; }
  std::int64_t elements() const { return box.pixels() * local_channels; }
  /// Index in the whole sample of an element of the region.
  std::int64_t global_element(std::int64_t local) const { return map().global_element(local); }

  RegionMap map() const {
    RegionMap m{};
    for (std::size_t a = 0; a < 3; ++a) m.first[a] = box.first[a], m.extent[a] = box.extent[a], m.whole[a] = extents[a];
    m.channels = channels, m.first_channel = first_channel, m.local_channels = local_channels;
    m.run = local_channels;
    bool joined = local_channels == channels;  // all inner dimensions are whole
    for (std::size_t a = 3; a-- > 0 && joined;) {
      m.run *= box.extent[a];
      joined = box.extent[a] == extents[a];
    }
    return m;
  }
};

}  // namespace trireme
