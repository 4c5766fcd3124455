// Writes the checkpoints of a run while it trains.
//
// Life of a checkpoint: write() waits for the previous one (back-pressure), copies this rank's rows into staging memory and returns. Training pauses
// only for that long. Then a thread writes the rows with plain writes and fsync. The threads of the ranks exchange a few messages on their own
// communicator and sleep while they wait. The few HDF5 calls that create the layout of the file run on the rank's HDF5 thread, between two reads of
// training data.
//
// The outcome is the same on all ranks, but poll() sees it a little later on one rank than on another. Therefore an error that ends the run travels
// with the reductions of the next step, and raise() throws it on all ranks.
#pragma once

#include <atomic>
#include <cstdint>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "base/timer.hpp"
#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "io/checkpoint_file.hpp"
#include "io/io_thread.hpp"
#include "run/run_directory.hpp"
#include "run/run_ownership.hpp"

namespace trireme {

/// checkpoints/best.h5 of a run directory: the checkpoint with the best evaluation (train.best).
std::filesystem::path best_checkpoint_path(const std::filesystem::path& run_directory);

class CheckpointManager {
 public:
  /// Collective. All arguments must outlive the keeper. `h5` is the thread that makes the HDF5 calls of this rank.
  CheckpointManager(const Deck& deck, const Communicator& run, IoThread& h5, RunDirectory& directory, RunOwnership& ownership);
  /// Waits for the checkpoint being written. During stack unwinding other ranks may never arrive, so it then waits for this rank's part only.
  ~CheckpointManager();
  CheckpointManager(const CheckpointManager&) = delete;
  CheckpointManager& operator=(const CheckpointManager&) = delete;

  /// Allocates and touches the staging memory while training starts; touching it in the first copy would make that copy several times slower.
  /// Collective.
  void prepare(const std::vector<CheckpointArray>& arrays);
  /// Starts the checkpoint of `step`, or writes it completely if checkpoint.async = false. `began`: timer started when training paused for it.
  /// Collective. Throws the error of the previous checkpoint if that error ends the run, as finish() does.
  void write(std::int64_t step, const std::vector<CheckpointArray>& arrays, const FillRows& fill, CheckpointContent content, const Timer& began);

  /// Handles a completed checkpoint: logs and records its outcome (rank 0). Returns true if an error since the last call ends the run: a failed write
  /// with checkpoint.on_error = stop, or another run that took over the directory. Not collective; call it once per step.
  bool poll();
  /// Throws the error that poll() reported on some rank, on all ranks. Collective.
  void raise();
  /// Waits until the checkpoint is on disk. `last`: a failure is an error with any checkpoint.on_error, because no later checkpoint follows.
  /// Collective.
  void finish(bool last);

  /// Removes old checkpoints: all but the `checkpoint.keep` newest ones up to `step`, and all later ones (damaged ones that were skipped, or those
  /// from before a rollback). Rank 0.
  void remove_old(std::int64_t step) const;

  /// Makes checkpoints/best.h5 the checkpoint of `step`, which is on disk: a hard link, or a copy where the file system has no links. Rank 0; warns on failure.
  void keep_as_best(std::int64_t step) const;

  /// Seconds from start to completion of the last checkpoint; 0 before the first. Differs between ranks.
  double last_seconds() const { return last_seconds_; }
  struct Totals {
    std::int64_t written = 0, failed = 0;
    double stall = 0, writing = 0, waiting = 0;  // seconds: training paused; the thread wrote; training waited for the previous checkpoint
  };
  const Totals& totals() const { return totals_; }

 private:
  struct Pending {
    std::int64_t step = 0;
    std::filesystem::path file;
    double stall = 0;
    std::future<double> seconds;  // that writing took
  };
  /// Waits for pending_ and returns its outcome. A failure is logged and recorded; it goes to error_ if it ends the run.
  void collect();
  double write_now(const std::filesystem::path& file, const CheckpointContent& content, std::int64_t step);

  const Communicator& run_;
  Communicator comm_;  // of the writing threads
  IoThread& h5_;
  RunDirectory& directory_;
  RunOwnership& ownership_;
  bool async_, stops_;
  std::int64_t keep_;
  CheckpointWriting how_;
  CheckpointStagingBuffer stage_;
  std::future<void> prepared_;
  std::optional<Pending> pending_;
  std::optional<IoError> error_;
  bool failed_ = false;  // the last checkpoint failed, whatever on_error is
  std::string failure_;
  Totals totals_;
  double last_seconds_ = 0;
  std::atomic<bool> abandoned_ = false;
  std::optional<IoThread> writer_;  // declared last, so it is destroyed first
};

}  // namespace trireme
