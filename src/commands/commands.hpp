// The commands of the program, one file each. All are collective, take the words after their name, return the exit code, and throw
// trireme::Error.
#pragma once

#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace trireme {

/// Finds the command in the first word and runs it; without words prints the help.
int run_command(const Communicator& comm, const std::vector<std::string>& words);

/// Whether the words ask for help alone, which needs no kernels. Not collective.
bool asks_for_help(const std::vector<std::string>& words);

int train_command(const Communicator& comm, const std::vector<std::string>& words);
int evaluate_command(const Communicator& comm, const std::vector<std::string>& words);
int predict_command(const Communicator& comm, const std::vector<std::string>& words);
int inspect_command(const Communicator& comm, const std::vector<std::string>& words);
int plan_command(const Communicator& comm, const std::vector<std::string>& words);
int bench_command(const Communicator& comm, const std::vector<std::string>& words);
int help_command(const Communicator& comm, const std::vector<std::string>& words);

}  // namespace trireme
