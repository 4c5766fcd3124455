// Output of --json: one object on one line.
#pragma once

#include <nlohmann/json.hpp>

#include "base/shape.hpp"
#include "comm/communicator.hpp"

namespace trireme {

/// Writes to standard output on rank 0.
void print_json(const Communicator& comm, const nlohmann::json& object);
/// The extents, as an array.
nlohmann::json json_of(const Shape& shape);

}  // namespace trireme
