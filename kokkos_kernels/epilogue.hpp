// The epilogue of a contraction: elementwise work and pooling that it applies to its results before they leave for memory.
#pragma once

#include <array>
#include <cstdint>

namespace trireme {

struct ConvGeometry;

/// y = act(max_pool(z)), act(v) = v < 0 ? slope v : v. The activation may also stand before the pooling: the result is the same. Pooling windows tile the
/// plane: the stride is as wide as the window, and there is no padding. A window has at most 256 places.
struct Epilogue {
  std::array<std::int64_t, 3> window{1, 1, 1};
  double slope = 1;  // 1: no activation; 0: relu

  std::int64_t places() const { return window[0] * window[1] * window[2]; }
  bool pools() const { return places() > 1; }
  bool empty() const { return !pools() && slope == 1; }
  bool is_relu() const { return !pools() && slope == 0; }
  std::array<std::int64_t, 3> extent(const ConvGeometry& g) const;
};

}  // namespace trireme
