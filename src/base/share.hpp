// The even division of things among parts.
#pragma once

#include <algorithm>
#include <cstdint>

namespace trireme {

struct Share {
  std::int64_t first, count;
};

/// The contiguous share of `n` things that part `r` of `parts` owns: [first, first + count), shares differ by at most one.
inline Share share_of(std::int64_t n, int r, int parts) {
  const std::int64_t each = n / parts, over = n % parts;
  return {r * each + std::min<std::int64_t>(r, over), each + (r < over ? 1 : 0)};
}

}  // namespace trireme
