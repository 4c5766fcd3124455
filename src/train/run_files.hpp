// The run directory: its ownership, its records and its checkpoints.
//
// Owns all three once the run has claimed the directory. A run that writes nothing (a dry run, or a run that has ended) never opens them.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "run/checkpoint_manager.hpp"
#include "run/run_directory.hpp"
#include "run/run_ownership.hpp"
#include "train/run_context.hpp"

namespace trireme {

class RunFiles {
 public:
  /// `run` must outlive the object. Accesses no file.
  explicit RunFiles(RunContext& run) : run_(run), path_(run_path(run.deck)) {}

  /// Claims the directory: afterwards no other run adds a checkpoint. Collective; throws a checkpoint error if the folder cannot be written.
  void take_over() { ownership_.emplace(run_.comm, path_); }
  /// Opens the checkpoint writer, and the records after step `resume_step` (-1: new run). Call it after take_over(). Collective; passes on their errors.
  void open(std::int64_t resume_step) {
    directory_.emplace(run_.comm, run_.deck, path_, resume_step, ownership_->token());
    checkpoints_.emplace(run_.deck, run_.comm, run_.io, *directory_, *ownership_);
  }

  bool is_open() const { return checkpoints_.has_value(); }
  const std::filesystem::path& path() const { return path_; }
  // Valid after open().
  const std::string& token() const { return ownership_->token(); }
  RunDirectory& directory() { return *directory_; }
  CheckpointManager& checkpoints() { return *checkpoints_; }

 private:
  RunContext& run_;
  std::filesystem::path path_;
  std::optional<RunOwnership> ownership_;
  std::optional<RunDirectory> directory_;
  std::optional<CheckpointManager> checkpoints_;
};

}  // namespace trireme
