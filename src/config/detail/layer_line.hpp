// One `layer` line of [model]: KIND [name=] [from=a,b] [key=value ...].
#pragma once

#include <string>

#include "config/deck.hpp"

namespace trireme::detail {

/// `number`: of the layer, from 1. Throws a usage error that quotes the line. Does not check the kind and its options.
LayerSpec parse_layer(const std::string& text, int number, const std::string& where);

}  // namespace trireme::detail
