// What somebody outside of a run does between its steps: exchange models with other runs, tell how far it is.
#pragma once

namespace trireme {

template <class T>
class Trainer;

/// All are called on every rank of the run, at the same steps, and may be collective over the ranks of several runs.
template <class T>
class StepHook {
 public:
  virtual ~StepHook() = default;
  /// Once, where run() begins: the run stands where it goes on, and nothing reads data yet, so that HDF5 may be called.
  virtual void begin(Trainer<T>&) {}
  /// Whether the next step may begin; where not, the run ends as if it had been told to stop. All ranks of the run say the same.
  virtual bool before_step(Trainer<T>&) { return true; }
  /// The step's update is launched and its loss known; nothing of it was reported or saved yet.
  virtual void after_step(Trainer<T>&) {}
  /// After each step: whether a checkpoint that is due by time (`due`) may be written here. Runs that belong together want theirs at one step.
  virtual bool may_save(Trainer<T>&, bool due) { return due; }
  /// The last checkpoint is whole. `stopped`: before the end of the deck.
  virtual void end(Trainer<T>&, bool /*stopped*/) {}
  /// The trainer goes, perhaps because of an error: what refers to it is to be let go. Not collective.
  virtual void release() noexcept {}
};

}  // namespace trireme
