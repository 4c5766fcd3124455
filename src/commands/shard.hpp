// trireme shard KIND [SOURCE] --out DIR --shards N: makes the shards of a data set.
#pragma once

#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace trireme {

/// Runs the command; `arguments` are those after the word `shard`. Returns the exit code. Throws trireme::Error, on all
/// ranks alike. Collective.
int shard_command(const Communicator& comm, const std::vector<std::string>& arguments);

}  // namespace trireme
