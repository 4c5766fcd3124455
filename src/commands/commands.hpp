// The registry of commands. A file of this folder registers one with TRIREME_COMMAND(name). All commands are collective, return the exit code and throw
// trireme::Error.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "commands/arguments.hpp"

namespace trireme {

struct CommandKind {
  std::string name = {};  // the word after `trireme`; the registry sets it
  std::string operands;   // "DECK"
  std::string help;       // description, one sentence
  std::vector<CommandOption> options = {};
  bool overrides = false;    // accepts --section.key=value
  int operands_most = 1;     // maximum number of operands
  int place = 100;           // position in the list of commands, ascending
  bool needs_output = true;  // the command fails if its output cannot be written; false for train, whose records are in the run directory
  std::function<int(const Communicator&, const Arguments&)> run = {};
  /// Instead of `run`, for commands that parse their own arguments and have their own help.
  std::function<int(const Communicator&, const std::vector<std::string>&)> run_words = {};

  /// "trireme train DECK [--trace] [--section.key=value ...]"
  std::string usage() const;
  /// Usage, description, and all options.
  std::string full_help() const;
};

/// All commands, in the order of their files.
const std::vector<CommandKind>& command_kinds();

#define TRIREME_COMMAND(kind) CommandKind command_kind_##kind()

/// Finds the command named by the first argument and runs it; without arguments prints the help. Throws an internal error if output that the command needs was
/// lost (disk full, closed).
int run_command(const Communicator& comm, const std::vector<std::string>& words);

/// Runs one command with the arguments after its name, or prints its help if they request it.
int run_with(const Communicator& comm, const CommandKind& command, const std::vector<std::string>& words);

/// Whether the arguments only request help, which needs no kernels. Not collective.
bool asks_for_help(const std::vector<std::string>& words);

}  // namespace trireme
