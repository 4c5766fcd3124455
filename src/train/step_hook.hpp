// Hooks between the steps of a run, for example to exchange models with other runs, or to report progress.
#pragma once

namespace trireme {

template <class T>
class Trainer;

/// All functions are called on every rank of the run, at the same steps, and may be collective over the ranks of several runs.
template <class T>
class StepHook {
 public:
  virtual ~StepHook() = default;
  /// Called once when run() starts: the state is restored or initialized, and no thread reads data yet, so HDF5 may be called.
  virtual void begin(Trainer<T>&) {}
  /// Returns whether the next step may begin; if not, the run ends as if it had received a stop signal. All ranks of the run return the same value.
  virtual bool before_step(Trainer<T>&) { return true; }
  /// Called after the step's update is launched and its loss is known, before anything of the step is reported or saved.
  virtual void after_step(Trainer<T>&) {}
  /// Called after each step: whether a time-based checkpoint may be written now; `due`: one is due. Runs that belong together write their checkpoints at the
  /// same step.
  virtual bool may_save(Trainer<T>&, bool due) { return due; }
  /// Called after the last checkpoint is complete. `stopped`: the run ends before the end of the deck.
  virtual void end(Trainer<T>&, bool /*stopped*/) {}
  /// Called when the trainer is destroyed, possibly by an error: release all references to it. Not collective.
  virtual void release() noexcept {}
};

}  // namespace trireme
