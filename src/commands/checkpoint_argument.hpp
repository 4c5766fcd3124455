// The CHECKPOINT argument of commands: a file or a run directory.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "train/snapshot.hpp"

namespace trireme {

/// The checkpoint that `argument` names: a file, or the newest intact checkpoint of a run directory. Otherwise a checkpoint error says what was found.
/// `best`: the argument is a run directory, and the checkpoint is that of train.best. Collective.
std::filesystem::path checkpoint_argument(const Communicator& comm, const std::string& argument, bool best = false);

/// The checkpoints that "A,B,..." names: files, run directories (the newest intact checkpoint of each), and run directories of tasks (the newest one of each
/// task that has one). Collective.
std::vector<std::filesystem::path> ensemble_argument(const Communicator& comm, const std::string& argument);

}  // namespace trireme
