// Which folders a run may write into: its own, or one where it can harm nothing.
#pragma once

#include <filesystem>

#include "comm/communicator.hpp"

namespace trireme {

/// Throws a checkpoint error unless `path` is free, an empty folder, or a run's: one that holds owner.json, metrics.jsonl, tasks.json or checkpoints as runs
/// write them. A file, a dangling link, or a folder of other files is none; nothing is written or removed before this is known. Collective; rank 0 looks.
void require_run_folder(const Communicator& comm, const std::filesystem::path& path);

}  // namespace trireme
