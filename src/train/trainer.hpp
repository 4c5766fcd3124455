// Training: steps over the batches of a data set, with evaluation, checkpoints and records.
//
// The trainer owns and connects the parts of a run: DataLoader provides the data of a step, ForwardBackward computes gradients, TrainState applies them,
// StopControl decides when to stop, RunCheckpoints saves, NonfiniteRecovery recovers, RunRecorder and StepProfiler report.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "train/forward_backward.hpp"
#include "train/memory_report.hpp"
#include "train/nonfinite_recovery.hpp"
#include "train/quality.hpp"
#include "train/run_checkpoints.hpp"
#include "train/step_balance.hpp"
#include "train/step_hook.hpp"
#include "train/test_evaluation.hpp"

namespace trireme {

template <class T>
class Trainer {
 public:
  /// Builds all parts of the deck and resumes from the newest checkpoint of the run directory. `deck`, `comm` and `hook` (called between steps) must outlive
  /// the trainer. With `dry` it writes nothing and does not claim the run directory. Collective; passes on the errors of its parts.
  Trainer(const Deck& deck, const Communicator& comm, StepHook<T>* hook = nullptr, bool dry = false);

  ~Trainer() {
    if (hook_ != nullptr) hook_->release();
  }
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Trains to the end of the deck or to a stop signal. Collective. Returns ExitCode::done, ExitCode::requeue, or ExitCode::numerical if the run is
  /// complete but its test loss is not finite.
  ExitCode run();
  /// After ExitCode::numerical: the error message for the user.
  std::string end_fault() const;

  /// Seeks the next batch; call it before the first step() if you do not call run(). Not collective.
  void begin() { loader_.seek(progress().epoch, progress().batch); }
  /// One update of the parameters. Collective; throws data errors, and ExitCode::numerical if training cannot continue.
  void step();

  Network<T>& network() { return network_; }
  const Progress& progress() const { return state_.progress(); }
  /// Mean loss of the last step's global batch.
  double last_loss() const { return last_loss_; }

  // Access for hooks.
  const Deck& deck() const { return run_.deck; }
  const Communicator& comm() const { return run_.comm; }
  const ProcessGrid& grid() const { return run_.grid; }
  const Execution& execution() const { return run_.exec; }
  IoThread& io() { return run_.io; }
  const DataSet& train_data() const { return loader_.data(); }
  const std::optional<DataSet>& test_data() const { return evaluation_.data(); }
  std::int64_t total_steps() const { return plan_.total_steps(); }
  /// Samples of a global batch in evaluation.
  std::int64_t evaluation_batch() const { return trireme::evaluation_batch(run_, network_); }
  bool stop_requested() const { return stop_.stop_requested(); }
  /// Number of training samples in the first `step` steps.
  std::int64_t samples_of(std::int64_t step) const { return plan_.samples_in(step); }
  /// The model without its optimizer: parameters, buffers and, if there is one, the average of the parameters.
  std::vector<Buffer<T>> model_arrays() const { return state_.model_arrays(); }

 private:
  // Setup.
  void plan_memory();
  std::optional<std::filesystem::path> restored(const std::filesystem::path& path, std::string& seen);
  void open_run(bool dry);
  void log_start(bool dry, const std::optional<std::filesystem::path>& from);

  // The run.
  ExitCode run_steps();
  void begin_run();
  void after_step();
  ExitCode end_run();
  /// For a run that was already complete: evaluates, and writes nothing.
  ExitCode report_complete();

  // A step.
  StepFlags begin_step();
  void accumulate_gradients(const StepPlan::Step& step, const StepFlags& flags);
  void accumulate_batch(const BatchInStep& place);
  void reduce_gradients();
  /// With different weights of targets: divides gradients by the mean weight of the step's targets, which all ranks know after the reduction. Collective
  /// over the ranks that hold one model.
  void normalize_gradients(std::int64_t samples);
  void update_parameters(std::int64_t samples);
  void prefetch_batch();
  void account(const StepPlan::Step& step);
  void require_finite_loss() const;
  void recover();
  void rebalance();

  // Between steps.
  /// If due, evaluates and records the epoch. If a stop is requested before that is done, the epoch stays open.
  void end_epoch();
  /// Whether the steps of the last epoch are done, but not its evaluation.
  bool epoch_is_open() const { return progress().batch == 0 && progress().epoch_samples > 0; }
  /// Decides what follows from an evaluation: best checkpoint, target, end of the run. Collective.
  void judge(const nlohmann::json& metrics);
  bool is_done() const { return plan_.is_complete(progress()) || !quality_.end_reason(progress().quality).empty(); }
  void log_nothing_to_do() const;
  /// Ends the epoch of a checkpoint that was written before the evaluation of that epoch.
  void complete_open_epoch();
  void close_epoch();
  /// Returns nothing if a stop was requested meanwhile. After an error it writes a checkpoint.
  std::optional<Metrics> evaluate(TestEvaluation<T>& evaluation);

  MemoryReport memory_;  // declared first: it counts allocations from here
  RunContext run_;
  StepHook<T>* hook_;
  Network<T> network_;
  DataLoader<T> loader_;
  TrainState<T> state_;
  StepPlan plan_;
  StepProfiler<T> profiler_;
  ForwardBackward<T> forward_backward_;
  TestEvaluation<T> evaluation_, validation_;
  Quality quality_;
  StepBalance balance_;
  RunFiles files_;
  StopControl stop_;
  RunRestore<T> restore_;
  RunRecorder<T> recorder_;
  RunCheckpoints<T> checkpoints_;
  NonfiniteRecovery<T> recovery_;
  bool complete_ = false;  // the run had already ended: nothing to do, nothing to write
  double last_loss_ = 0;
  std::optional<StepOutcome> outcome_;  // of this step, if it was needed before the update
};

}  // namespace trireme
