// Restores a run from a checkpoint, or initializes it.
//
// Owns the fingerprint of the data, which checkpoints store, and the changes since the checkpoint. Modifies the state and the plan that it gets.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "train/data_loader.hpp"
#include "train/initial_weights.hpp"
#include "train/resume_check.hpp"
#include "train/run_context.hpp"
#include "train/step_plan.hpp"
#include "train/train_state.hpp"

namespace trireme {

template <class T>
class RunRestore {
 public:
  /// All arguments must outlive the object. `task`: the run is a task of a job. Not collective.
  RunRestore(RunContext& run, TrainState<T>& state, const DataLoader<T>& loader, StepPlan& plan, bool task);

  /// Loads the checkpoint that checkpoint.resume selects for a run in `directory`, and checks that it fits the deck; without one, initializes the parameters,
  /// also from model.weights.
  /// Returns the file. Collective. Throws checkpoint errors: the named path has no checkpoint, all checkpoints are damaged, the deck or the data do not fit, or
  /// checkpoint.resume = never would overwrite checkpoints.
  std::optional<std::filesystem::path> restore_or_initialize(const std::filesystem::path& directory);
  /// Loads this checkpoint and fits the plan to it. `h5`: the thread that calls HDF5, if batches are being read. Collective; throws checkpoint errors.
  void restore(const std::filesystem::path& file, IoThread* h5);

  /// The newest checkpoint of `directory`, intact or not; empty: none. Collective.
  std::string newest_checkpoint(const std::filesystem::path& directory) const;
  /// Whether the records of `directory` show that the run ended at the current step. Collective.
  bool has_ended(const std::filesystem::path& directory) const;

  const Fingerprint& fingerprint() const { return fingerprint_; }
  /// Changes since the checkpoint.
  const std::vector<DeckChange>& changes() const { return changes_; }
  /// What model.weights gave to a new run; empty: nothing was asked, or the run resumed.
  const std::optional<WeightsReport>& weights() const { return weights_; }
  /// Logs the changes, and what model.weights gave. Not collective.
  void log_changes() const;

 private:
  /// Compares the deck, the data and the order of samples with those of the loaded checkpoint.
  void fit_to_deck(const SavedRun& saved, const AbsentState& absent);
  void require_no_checkpoints(const std::filesystem::path& directory) const;

  RunContext& run_;
  TrainState<T>& state_;
  StepPlan& plan_;
  bool task_;
  Fingerprint fingerprint_;
  std::vector<DeckChange> changes_;
  std::vector<std::string> notes_;
  std::optional<WeightsReport> weights_;
};

}  // namespace trireme
