// Decides whether a run may write into a folder: only into its own folder, or where it cannot overwrite other files.
#pragma once

#include <filesystem>

#include "comm/communicator.hpp"

namespace trireme {

/// What may lie in a run directory: a single run, or a job with the runs of its tasks (task.mode).
enum class RunKind { single, tasks };

/// Throws a checkpoint error unless `path` does not exist, is an empty folder, or is the folder of a run of the same kind: one that holds owner.json,
/// metrics.jsonl, tasks.json or checkpoints in the form that runs write. A file, a dangling link, a folder with other files, or a folder with a run of
/// the other kind is refused. If parts of the path do not exist, the folder that it names once they are created is checked. Nothing is written or
/// removed before this check. On one rank.
void check_run_folder(const std::filesystem::path& path, RunKind kind);
/// The same; collective, rank 0 checks.
void require_run_folder(const Communicator& comm, const std::filesystem::path& path, RunKind kind);

/// Throws a checkpoint error unless this process may create the folder, or may create files in it if it exists. Changes nothing. Collective; rank 0 checks.
void require_writable_run_folder(const Communicator& comm, const std::filesystem::path& path);

/// Creates the folder and the folder `inner` in it; checks a new folder again before that. On one rank.
void create_run_folder(const std::filesystem::path& path, const char* inner, RunKind kind);

}  // namespace trireme
