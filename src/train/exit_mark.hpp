// RUN/exit_code: the run's own word to the script that started it. A launcher may report a signal in place of the ranks' exit code.
#pragma once

#include <filesystem>

#include "comm/communicator.hpp"

namespace trireme {

/// Removes RUN/exit_code, so that none is there while the run goes on or after it died. Rank 0 acts; not collective.
void clear_exit_mark(const Communicator& comm, const std::filesystem::path& run);

/// Writes the code that the program is about to exit with (0 or 75). All that the run leaves is on disk by then. Rank 0 acts; a folder that cannot be written
/// is warned of, not an error.
void leave_exit_mark(const Communicator& comm, const std::filesystem::path& run, int code);

}  // namespace trireme
