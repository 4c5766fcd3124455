// The shapes of the ten digits: strokes in the box [-0.6, 0.6] x [-1, 1]; y points down.
#pragma once

#include <vector>

#include "base/random.hpp"

namespace trireme {

struct StrokePoint {
  double x = 0;
  double y = 0;
};
using Stroke = std::vector<StrokePoint>;  // a polyline

/// One way to write `digit`: `random` chooses a variant (for example a 7 with or without a bar) and shifts each control point by `jitter` (a standard
/// deviation). Curves are returned as polylines.
std::vector<Stroke> write_digit(int digit, double jitter, RandomStream& random);

}  // namespace trireme
