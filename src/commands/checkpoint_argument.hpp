// The CHECKPOINT argument of commands: a file or a run directory.
#pragma once

#include <string>

#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "train/snapshot.hpp"

namespace trireme {

/// The checkpoint that `argument` names: the file, or the newest whole one of a run directory. A checkpoint error says what is there
/// instead. Collective.
std::filesystem::path checkpoint_argument(const Communicator& comm, const std::string& argument);

}  // namespace trireme
