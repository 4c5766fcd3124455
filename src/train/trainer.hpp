// Training: steps over the batches of a data set, evaluation, checkpoints, and their record in the run directory.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>

#include "base/stop_signals.hpp"
#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "data/batch_stream.hpp"
#include "io/io_thread.hpp"
#include "kokkos_kernels/allocations.hpp"
#include "kokkos_kernels/recording.hpp"
#include "network/network.hpp"
#include "optim/gradient_reducer.hpp"
#include "optim/optimizer.hpp"
#include "optim/schedule.hpp"
#include "optim/weight_average.hpp"
#include "parallel/sharer_sums.hpp"
#include "train/balancer.hpp"
#include "train/checkpoint_keeper.hpp"
#include "train/evaluator.hpp"
#include "train/finite_check.hpp"
#include "train/local_batch.hpp"
#include "train/loss_function.hpp"
#include "train/profile.hpp"
#include "train/resume_check.hpp"
#include "train/run_directory.hpp"
#include "train/run_memory.hpp"
#include "train/run_ownership.hpp"
#include "train/snapshot.hpp"
#include "train/step_hook.hpp"
#include "train/time_limit.hpp"

namespace trireme {

template <class T>
class Trainer {
 public:
  /// Builds everything that the deck names, and goes to where the run directory stands. `hook`, which outlives it, is called between steps.
  /// With `dry` nothing is written, and the run directory is not taken over. Collective; throws what its parts throw.
  Trainer(const Deck& deck, const Communicator& comm, StepHook<T>* hook = nullptr, bool dry = false);

  ~Trainer() {
    if (hook_ != nullptr) hook_->release();
  }
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Trains to the end of the deck or to a stop signal. Collective. Returns ExitCode::done or ExitCode::requeue.
  ExitCode run();

  /// Goes to the first batch of what is left; before the first step() of a caller that does not run().
  void begin() { batches_.seek(progress_.epoch, progress_.batch); }
  /// One update of the parameters.
  void step();

  Network<T>& network() { return network_; }
  const Progress& progress() const { return progress_; }
  /// Mean loss of the last step's global batch.
  double last_loss() const { return last_loss_; }

  // For hooks.
  const Deck& deck() const { return deck_; }
  const Communicator& comm() const { return comm_; }
  const ProcessGrid& grid() const { return grid_; }
  const Execution& execution() const { return exec_; }
  IoThread& io() { return io_; }
  const DataSet& train_data() const { return train_data_; }
  const std::optional<DataSet>& test_data() const { return test_data_; }
  std::int64_t total_steps() const { return total_steps_; }
  /// Samples of a global batch in evaluation: data.test_batch where one pass takes as many, else what it takes.
  std::int64_t evaluation_batch() const;
  bool told_to_stop() const { return stop_; }
  /// Training samples that `step` steps take, from the first on.
  std::int64_t samples_of(std::int64_t step) const;
  /// What describes a model beside its optimiser's state: parameters, buffers and, where there is one, the parameters' average.
  std::vector<Buffer<T>> model_arrays() const;

 private:
  ExitCode run_steps();
  void resume(bool dry);
  /// Loads the checkpoint that the run goes on from, if any, and checks that it fits; else initial values.
  std::optional<std::filesystem::path> stand_where_it_stood(const std::filesystem::path& path);
  /// Compares the deck, the data and the order of samples with those of the checkpoint that was just loaded, and fits the count of steps to them.
  void fit_to_deck(const std::filesystem::path& from, IoThread* h5);
  void say_what_changed() const;
  /// parallel.bucket and parallel.reduce; what they leave open as the checkpoint has it, where it is of as many ranks.
  ReduceOptions reduce_options() const;
  Fingerprint fingerprint() const;
  /// Whether the run directory holds the end of this run, so that nothing need be written. Collective.
  bool is_over(const std::filesystem::path& path) const;
  ExitCode report_end();
  void begin_profile();
  /// What was launched since the mark before was this part's.
  void mark(std::size_t part) {
    if (profile_) profile_->mark(exec_, part);
  }
  /// Adds one batch's share of the gradient of a step; `before`: samples of the step's batches before it, `samples`: of all of them.
  void accumulate(std::int64_t before, std::int64_t samples, bool last);
  void train_on(const HostBatch& batch, std::int64_t before, std::int64_t samples, bool last);
  /// The same of samples that are worked on together: a share of the batch, or a lane.
  void train_on_slice(const HostBatch& batch, std::int64_t before, std::int64_t samples, bool last);
  void forward(const Pass& pass, const HostBatch& batch, std::int64_t samples);
  void backward(const Pass& pass, bool last);
  /// Forward, loss and backward in one, where they are the same in every step.
  void replay(const Pass& pass, std::int64_t samples, const Targets<T>& targets);
  /// Waits for the next step's first batch and starts its copy to the device, beside the step that runs there. Errors come when it is taken.
  void prefetch();
  const HostBatch& next_batch();
  NormScope norm_scope() const;
  BatchStream::Options stream_options() const;
  void account(std::int64_t samples, std::int64_t batches);
  /// Of the step that ended: what this rank did of it, and after some steps perhaps other shares.
  void balance(double step_seconds);
  void log_step();
  void log_shares();
  /// Evaluates where the deck says so, and records the epoch. Where the run is told to stop before that is done, the epoch stays open: epoch_open().
  void end_epoch();
  /// Whether the last epoch's steps are done, but not its evaluation.
  bool epoch_open() const { return progress_.batch == 0 && progress_.epoch_samples > 0; }
  /// Of a run that goes on from a checkpoint which was written before the evaluation.
  void take_up_epoch();
  bool evaluates(std::int64_t epoch) const;
  /// Nothing where the run was told to stop meanwhile.
  std::optional<Metrics> measure();
  bool wants_stop();
  void checkpoint();
  /// What numerics.on_nonfinite says of the step that was just accounted for and updated nothing.
  void meet_nonfinite();
  void roll_back();
  void finish(bool stopped);
  /// Seconds that a checkpoint may take, for as long as none was measured: its arrays at 100 MiB/s.
  double checkpoint_guess() const;
  std::string stop_reason();
  /// Bytes allocated against those planned, the largest of any rank. Collective.
  nlohmann::json memory_report(std::string& text) const;

  AllocationCounter allocations_;       // the first: of all that follows
  const Deck& deck_;
  const std::int64_t resident_before_;  // bytes of the process before this run has anything
  RunMemory planned_;
  const Communicator& comm_;
  StepHook<T>* hook_;
  std::uint64_t stream_seed_;           // of the order of samples, augmentation and dropout
  Execution exec_;
  IoThread io_;
  std::int64_t batch_;                  // global batch
  std::int64_t accumulate_;             // batches a step
  ProcessGrid grid_;
  std::int64_t share_;                  // the most that this rank's place on the data axis takes of a batch, where shares are even
  std::int64_t lanes_;                  // of a batch; 0: none
  Network<T> network_;
  DataSet train_data_;
  std::optional<DataSet> test_data_;
  BatchStream batches_;
  BatchStager<T> stager_;
  LossFunction<T> loss_;
  GradientReducer<T> reducer_;
  Optimizer<T> optimizer_;
  std::optional<WeightAverage<T>> average_;
  std::optional<Evaluator<T>> evaluator_;
  const HostBatch* prefetched_ = nullptr;
  std::exception_ptr prefetch_error_;
  static constexpr std::int64_t control_read = 4;
  HostBuffer<T> control_;               // what account() reads of the network's control numbers
  SharerSums sharer_sums_;
  std::optional<Balancer> balancer_;
  SlowDown slow_down_;
  struct { double seconds = 0; std::int64_t samples = 0; } own_;  // this rank's work of the step under way
  std::vector<Pass> passes_;            // of the micro-batches of a batch
  bool replays_;
  Recording recording_;
  std::int64_t epoch_steps_, total_steps_;
  Schedule schedule_;
  std::int64_t step_offset_ = 0;        // steps more than the epochs done have in this run's count, where a restart changed it
  Fingerprint fingerprint_;             // what checkpoints say of the data
  std::vector<DeckChange> changes_;     // since the checkpoint
  std::vector<std::string> change_notes_;
  bool over_ = false;                   // nothing is left to do, and nothing is written
  std::optional<RunOwnership> ownership_;
  std::optional<RunDirectory> directory_;
  std::optional<CheckpointKeeper> keeper_;
  std::optional<FiniteCheck<T>> finite_check_;  // where a step that is not finite does not end the run
  std::int64_t skipped_ = 0, skipped_in_row_ = 0, rollbacks_ = 0, rolled_back_to_ = -1;
  Trace trace_;
  StopSignal stop_signal_;
  TimeLimit time_limit_;                // looked at on rank 0
  bool wants_stop_ = false, wants_save_ = false;  // this rank, as of this step
  double save_after_;                   // seconds from checkpoint to checkpoint; 0: no such
  Timer since_checkpoint_;              // looked at on rank 0
  bool save_ = false;                   // the time for one has come; the same on all ranks
  std::optional<Profile> profile_;
  struct { std::size_t zero, data, stage, loss, reduce, update, account; } parts_;

  Progress progress_;
  std::int64_t first_step_ = 0;         // where this process began
  std::int64_t last_checkpoint_ = -1;
  bool stop_ = false;
  double last_loss_ = 0;
  std::optional<Metrics> last_metrics_;
  std::int64_t measured_step_ = -1;     // the step whose parameters last_metrics_ are of
  Timer clock_;
  std::int64_t logged_step_ = 0;        // for samples/s between two log lines
  double logged_at_ = 0, logged_pause_ = 0, pause_ = 0;  // pause_: seconds in evaluation and checkpoints
  std::int64_t logged_samples_ = 0, samples_done_ = 0;
  struct { double step = 0, data = 0, forward = 0, backward = 0, reduce = 0, update = 0, evaluate = 0, checkpoint = 0; } seconds_;
};

}  // namespace trireme
