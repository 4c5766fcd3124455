// The shape of one sample, as decks and command lines give it.
#pragma once

#include <string>

#include "base/shape.hpp"

namespace trireme {

/// Channels and at most three spatial dimensions: what layers take.
constexpr int max_sample_extents = 4;

/// Shape::parse for the shape of a sample. A usage error that names `what` where the text has more extents than layers take.
Shape sample_shape(const std::string& text, const std::string& what);

}  // namespace trireme
