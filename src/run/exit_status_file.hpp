// RUN/exit_code: the exit status of the run for the job script. A launcher may report a signal instead of the exit code of the ranks.
#pragma once

#include <filesystem>

#include "comm/communicator.hpp"

namespace trireme {

/// Removes RUN/exit_code, so that it does not exist while the run is active or after a crash. Only rank 0 acts; not collective.
void remove_exit_status(const Communicator& comm, const std::filesystem::path& run);

/// Writes the exit code (0 or 75) just before the program exits, after all other output is on disk. Only rank 0 acts. An unwritable folder is a
/// warning, not an error.
void write_exit_status(const Communicator& comm, const std::filesystem::path& run, int code);

}  // namespace trireme
