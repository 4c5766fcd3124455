// Regions of activations, and the elements of arrays that lie in them.
#pragma once

#include <vector>

#include "kokkos_kernels/region.hpp"
#include "support/arrays.hpp"

namespace trireme::test {

/// Of an activation of 1 to 3 dimensions; sometimes all pixels, or all channels, or both, or nothing.
inline Region random_region(RandomStream& random, std::int64_t channels) {
  Region region;
  region.channels = region.local_channels = channels;
  for (std::size_t a = random.below(3); a < 3; ++a) {
    region.extents[a] = region.box.extent[a] = draw(random, 1, 7);
    if (random.below(2) == 0) continue;
    region.box.first[a] = draw(random, 0, region.extents[a] - 1);
    region.box.extent[a] = draw(random, random.below(9) == 0 ? 0 : 1, region.extents[a] - region.box.first[a]);
  }
  if (random.below(2) == 0) {
    region.first_channel = draw(random, 0, channels - 1);
    region.local_channels = draw(random, 1, channels - region.first_channel);
  }
  return region;
}

/// Of n whole samples, (n, pixels, channels), what lies in the region.
template <class T>
std::vector<T> in_region(const std::vector<T>& whole, std::int64_t n, std::int64_t elements, const Region& region) {
  std::vector<T> part;
  for (std::int64_t s = 0; s < n; ++s)
    for (std::int64_t z = region.box.first[0]; z < region.box.end(0); ++z)
      for (std::int64_t y = region.box.first[1]; y < region.box.end(1); ++y)
        for (std::int64_t x = region.box.first[2]; x < region.box.end(2); ++x)
          for (std::int64_t c = region.first_channel; c < region.first_channel + region.local_channels; ++c)
            part.push_back(whole[static_cast<std::size_t>(s * elements + ((z * region.extents[1] + y) * region.extents[2] + x) * region.channels + c)]);
  return part;
}

}  // namespace trireme::test
