// The CHECKPOINT argument of commands: a file or a run directory.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "train/snapshot.hpp"

namespace trireme {

/// The checkpoint that `argument` names: the file, or the newest whole one of a run directory. A checkpoint error says what is there
/// instead. Collective.
std::filesystem::path checkpoint_argument(const Communicator& comm, const std::string& argument);

/// The checkpoints that "A,B,..." names: files, run directories (the newest whole one each), and run directories of tasks (the newest of each task that
/// has one). Collective.
std::vector<std::filesystem::path> ensemble_argument(const Communicator& comm, const std::string& argument);

}  // namespace trireme
