// Writes the checkpoints of a run.
//
// Owns the step of the newest checkpoint. Takes a snapshot of the state; CheckpointManager writes it while training continues.
#pragma once

#include <cstdint>

#include "train/data_loader.hpp"
#include "train/run_context.hpp"
#include "train/run_files.hpp"
#include "train/run_recorder.hpp"
#include "train/run_restore.hpp"
#include "train/step_profiler.hpp"
#include "train/stop_control.hpp"
#include "train/train_state.hpp"

namespace trireme {

template <class T>
class RunCheckpoints {
 public:
  /// All arguments must outlive the object.
  struct Parts {
    RunContext& run;
    TrainState<T>& state;
    const DataLoader<T>& loader;
    const RunRestore<T>& restore;
    RunFiles& files;
    StepProfiler<T>& profiler;
    StopControl& stop;
    RunRecorder<T>& recorder;
  };
  explicit RunCheckpoints(const Parts& parts) : parts_(parts) {}

  /// Step of the newest checkpoint in the run directory; -1: there is none.
  std::int64_t last_step() const { return last_step_; }
  void set_last_step(std::int64_t step) { last_step_ = step; }

  /// Allocates the memory of the copies. Collective.
  void prepare();
  /// Starts a checkpoint of this step, unless the step already has one. Collective; throws the error of the previous checkpoint if it ends the run.
  void write();
  /// Keeps the state of this step as checkpoints/best.h5; waits until it is on disk. Collective; throws if the checkpoint's error ends the run.
  void write_best();
  /// Waits until all checkpoints are on disk. Collective; throws if one failed.
  void finish() { parts_.files.checkpoints().finish(true); }
  /// After an error on all ranks: writes a checkpoint and waits for it, so that no progress is lost. Collective; does not throw.
  void write_after_error();

 private:
  Snapshot<T> snapshot();

  Parts parts_;
  std::int64_t last_step_ = -1;
};

}  // namespace trireme
