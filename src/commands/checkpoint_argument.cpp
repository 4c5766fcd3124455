#include "commands/checkpoint_argument.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"

namespace trireme {

std::filesystem::path checkpoint_argument(const Communicator& comm, const std::string& argument) {
  const auto found = find_checkpoint(comm, argument);
  if (found) return *found;
  if (std::filesystem::exists(argument))
    throw checkpoint_error("'{}' holds no whole checkpoint. Expected a checkpoint file or a run directory with checkpoints/step-*.h5", argument);
  throw checkpoint_error("'{}' does not exist. Expected a checkpoint file or a run directory", argument);
}

std::vector<std::filesystem::path> ensemble_argument(const Communicator& comm, const std::string& argument) {
  std::vector<std::filesystem::path> files;
  for (const std::string& item : split(argument, ',')) {
    // Rank 0 looks, since file systems do not show all ranks the same at once.
    std::string tasks;
    comm.together([&] {
      if (comm.rank() != 0 || !std::filesystem::is_regular_file(std::filesystem::path(item) / "tasks.json")) return;
      for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(item) / "tasks"))
        if (entry.is_directory()) tasks += entry.path().string() + "\n";
    });
    auto folders = split(comm.broadcast(tasks), '\n');
    if (!folders.empty() && folders.back().empty()) folders.pop_back();
    std::ranges::sort(folders);
    if (folders.empty()) {
      files.push_back(checkpoint_argument(comm, item));
      continue;
    }
    const std::size_t before = files.size();
    for (const std::string& folder : folders) {
      if (const auto found = find_checkpoint(comm, folder))
        files.push_back(*found);
      else if (comm.rank() == 0)
        log::warn("'{}' holds no checkpoint: the task is not in the ensemble", folder);
    }
    if (files.size() == before) throw checkpoint_error("'{}' is a run directory of tasks, and none of them has a checkpoint", item);
  }
  if (files.empty()) throw usage_error("--ensemble names no checkpoint. Expected checkpoint files or run directories, separated by commas");
  return files;
}

}  // namespace trireme
