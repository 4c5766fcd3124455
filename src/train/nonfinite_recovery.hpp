// Handles a step whose loss or gradient is not finite (numerics.on_nonfinite): stops the run, skips the step, or rolls back to the newest checkpoint and lowers
// the learning rate.
//
// Owns the check of the gradients and the counts of skipped steps and rollbacks. A rollback keeps the order of the data, so each epoch still has every sample
// once. If a run is killed between a rollback and its next checkpoint, the next start rolls back again from the existing checkpoints.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "train/finite_check.hpp"
#include "train/run_checkpoints.hpp"
#include "train/run_context.hpp"
#include "train/run_files.hpp"
#include "train/run_restore.hpp"
#include "train/train_state.hpp"

namespace trireme {

template <class T>
class NonfiniteRecovery {
 public:
  /// All arguments must outlive the object. Not collective.
  NonfiniteRecovery(RunContext& run, TrainState<T>& state, RunRestore<T>& restore, RunCheckpoints<T>& checkpoints, RunFiles& files);

  /// Whether a non-finite step ends the run.
  bool stops() const { return policy_ == "stop"; }
  bool rolls_back() const { return policy_ == "rollback"; }
  /// Call it after the reduction: whether the step may update the parameters. The same on all ranks; collective if the check needs communication.
  bool allows_update() { return !check_ || check_->passes(run_.exec); }
  /// Call it after an update of the parameters.
  void step_succeeded() { skipped_in_row_ = 0; }
  /// Call it if the step was not applied: skips the step, or rolls the state back. Returns true after a rollback; the caller must then seek the batches of the
  /// restored progress. Collective. Throws ExitCode::numerical after numerics.tries attempts, and a checkpoint error if there is no checkpoint to roll back to.
  bool handle_nonfinite(double loss);

  std::int64_t skipped() const { return skipped_; }
  std::int64_t rollbacks() const { return rollbacks_; }

 private:
  void skip(double loss);
  void roll_back();
  std::filesystem::path find_rollback_checkpoint() const;

  RunContext& run_;
  TrainState<T>& state_;
  RunRestore<T>& restore_;
  RunCheckpoints<T>& checkpoints_;
  RunFiles& files_;
  std::string policy_;
  std::optional<FiniteCheck<T>> check_;
  std::int64_t skipped_ = 0, skipped_in_row_ = 0, rollbacks_ = 0;
  std::int64_t rolled_back_to_ = -1;  // step
};

}  // namespace trireme
