// The shape of one sample in decks and command lines.
#pragma once

#include <string>

#include "base/shape.hpp"

namespace trireme {

/// Layers support channels and at most three spatial dimensions.
constexpr int max_sample_extents = 4;

/// Shape::parse for the shape of a sample. Throws a usage error that names `what` if the text has more extents than layers support.
Shape sample_shape(const std::string& text, const std::string& what);

}  // namespace trireme
