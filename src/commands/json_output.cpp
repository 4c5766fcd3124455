#include "commands/json_output.hpp"

#include <cstdio>

namespace trireme {

void print_json(const Communicator& comm, const nlohmann::json& object) {
  // File names may contain any bytes, but JSON is UTF-8.
  if (comm.rank() == 0) std::printf("%s\n", object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

nlohmann::json json_of(const Shape& shape) {
  auto extents = nlohmann::json::array();
  for (const std::int64_t extent : shape.span()) extents.push_back(extent);
  return extents;
}

}  // namespace trireme
