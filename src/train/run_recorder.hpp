// The records of a run: lines of the log, and events in metrics.jsonl.
//
// Owns the clock of the run and the counters behind samples/s. All ranks call all functions; rank 0 writes. Only end() is collective.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/timer.hpp"
#include "metrics/metrics.hpp"
#include "train/balancer.hpp"
#include "train/data_loader.hpp"
#include "train/memory_report.hpp"
#include "train/resume_check.hpp"
#include "train/run_context.hpp"
#include "train/run_files.hpp"
#include "train/step_plan.hpp"
#include "train/step_profiler.hpp"
#include "train/train_state.hpp"

namespace trireme {

/// The state of a run at its end.
struct RunEnd {
  bool stopped = false;          // the run ended before its last step
  bool sound = true;             // the loss of `test` is finite
  std::string reason{};          // of the stop, or of an end before the last step
  bool evaluation_left = false;  // an evaluation was interrupted; the next start repeats it
  std::optional<Metrics> test{}, validation{};
  nlohmann::json best{};    // the best evaluation (train.best); null: none
  std::string best_text{};  // the same for the log
  std::int64_t skipped = 0, rollbacks = 0;
};

template <class T>
class RunRecorder {
 public:
  /// All arguments must outlive the recorder.
  RunRecorder(RunContext& run, TrainState<T>& state, const StepPlan& plan, StepProfiler<T>& profiler, const MemoryReport& memory, RunFiles& files);

  /// Describes the program, the network, the memory and the data. `test`: null without test data.
  void log_setup(const DataLoader<T>& loader, const DataSet* test);
  /// Call it when the run starts at the current step. `changes`: changes of the deck since the checkpoint.
  void record_start(const std::vector<DeckChange>& changes);
  /// Starts the clock: call it before the first step, or before the evaluation if no step is left.
  void start_clock() { clock_.reset(); }
  double seconds() const { return clock_.seconds(); }
  /// The step at which this process started.
  std::int64_t first_step() const { return first_step_; }
  /// Whether this process has completed a step.
  bool made_progress() const { return state_.progress().step > first_step_; }

  /// Counts the samples of a step.
  void count_samples(std::int64_t samples) { samples_ += samples; }
  /// Excludes seconds without steps (evaluations, checkpoints) from samples/s.
  void count_pause(double seconds) { pause_ += seconds; }
  void record_step(double loss);
  void record_shares(const Balancer& balancer);
  /// `seconds`: time at which the epoch's last step ended. `loss`: empty if no step of the epoch had a finite loss. `test`, `validation`: empty without an
  /// evaluation.
  void record_epoch(std::int64_t epoch, double seconds, std::optional<double> loss, const std::optional<Metrics>& test,
                    const std::optional<Metrics>& validation);
  /// The target of train.target is reached: prints and records the time to quality. Collective.
  void record_target(const std::string& text, nlohmann::json event);
  /// The final report: times, communication, memory, profile, and digest of the parameters. Collective.
  void end(const RunEnd& end, const Balancer* balancer);

 private:
  nlohmann::json phases() const;
  CommunicationReport communication();
  nlohmann::json end_event(const RunEnd& end, const std::string& digest) const;
  void log_times(double total) const;
  void log_balance(const Balancer& balancer) const;
  void record_profile(const CommunicationReport& communication);
  void log_end(const RunEnd& end) const;

  RunContext& run_;
  TrainState<T>& state_;
  const StepPlan& plan_;
  StepProfiler<T>& profiler_;
  const MemoryReport& memory_;
  RunFiles& files_;
  Timer clock_;
  std::int64_t first_step_ = 0;
  std::int64_t samples_ = 0;  // in this process
  double pause_ = 0;          // seconds in evaluations and checkpoints
  struct {
    double seconds = 0, pause = 0;
    std::int64_t samples = 0;
  } logged_;  // values at the last logged step
};

}  // namespace trireme
