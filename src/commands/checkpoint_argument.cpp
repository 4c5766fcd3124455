#include "commands/checkpoint_argument.hpp"

#include <algorithm>
#include <span>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "run/checkpoint_manager.hpp"

namespace trireme {

std::filesystem::path checkpoint_argument(const Communicator& comm, const std::string& argument, bool best) {
  if (best) {
    const std::filesystem::path file = best_checkpoint_path(argument);
    int found = 0;
    comm.together([&] {
      std::error_code ignored;
      if (comm.rank() == 0) found = std::filesystem::is_regular_file(file, ignored) ? 1 : 0;
    });
    comm.broadcast(std::span(&found, 1));
    if (found != 0) return file;
    throw checkpoint_error("--best: '{}' does not exist. Expected a run directory of a run with train.best, after its first evaluation", file.string());
  }
  const auto found = find_checkpoint(comm, argument);
  if (found) return *found;
  if (std::filesystem::exists(argument))
    throw checkpoint_error("'{}' contains no intact checkpoint. Expected a checkpoint file or a run directory with checkpoints/step-*.h5", argument);
  throw checkpoint_error("'{}' does not exist. Expected a checkpoint file or a run directory", argument);
}

std::vector<std::filesystem::path> ensemble_argument(const Communicator& comm, const std::string& argument) {
  std::vector<std::filesystem::path> files;
  for (const std::string& item : split(argument, ',')) {
    // Only rank 0 looks, because a file system may show different states to different ranks.
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
        log::warn("'{}' contains no checkpoint: the ensemble leaves this task out", folder);
    }
    if (files.size() == before) throw checkpoint_error("'{}' is a run directory of tasks, but no task has a checkpoint", item);
  }
  if (files.empty()) throw usage_error("--ensemble is empty. Expected checkpoint files or run directories, separated by commas");
  return files;
}

}  // namespace trireme
