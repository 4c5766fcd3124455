// The shapes of the ten digits: strokes in a box of x in [-0.6, 0.6] and y in [-1, 1], y downwards.
#pragma once

#include <vector>

#include "base/random.hpp"

namespace trireme {

struct StrokePoint {
  double x = 0;
  double y = 0;
};
using Stroke = std::vector<StrokePoint>;  // a polyline

/// One way of writing `digit`: a variant (a 7 with or without a bar...) and the place of each control point, moved by
/// `jitter` (a standard deviation), are taken from `random`. Curves come as polylines.
std::vector<Stroke> write_digit(int digit, double jitter, RandomStream& random);

}  // namespace trireme
