#include "commands/checkpoint_argument.hpp"

namespace trireme {

std::filesystem::path checkpoint_argument(const Communicator& comm, const std::string& argument) {
  const auto found = find_checkpoint(comm, argument);
  if (found) return *found;
  if (std::filesystem::exists(argument))
    throw checkpoint_error("'{}' holds no whole checkpoint. Expected a checkpoint file or a run directory with checkpoints/step-*.h5", argument);
  throw checkpoint_error("'{}' does not exist. Expected a checkpoint file or a run directory", argument);
}

}  // namespace trireme
