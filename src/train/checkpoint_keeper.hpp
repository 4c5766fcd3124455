// The checkpoints of a run while it trains: copied aside, written by a thread of their own, their outcome looked for once a step.
//
// Life of one: write() waits for the one before (back-pressure), copies this rank's rows into staging memory and returns: that is all that training stands still
// for. A thread then writes: plain writes and fsync, and among the ranks a few messages on a communicator of its own, waited for asleep. The few calls of HDF5
// that lay the file out run on the rank's HDF5 thread, between two pieces of the data that is read there. Outcomes are the same on all ranks; poll() finds
// them, a little later on one rank than on another, which is why what ends the run is told with the step's sums and thrown by raise() on all.
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
#include "train/run_directory.hpp"
#include "train/run_ownership.hpp"

namespace trireme {

class CheckpointKeeper {
 public:
  /// Collective. All that is given outlives the keeper; `h5` is the thread that makes this rank's calls of HDF5.
  CheckpointKeeper(const Deck& deck, const Communicator& run, IoThread& h5, RunDirectory& directory, RunOwnership& ownership);
  /// Waits for what is being written; where other ranks may never come (an error is on its way) for this rank's part alone.
  ~CheckpointKeeper();
  CheckpointKeeper(const CheckpointKeeper&) = delete;
  CheckpointKeeper& operator=(const CheckpointKeeper&) = delete;

  /// Makes the memory of the copies while training begins: first touched within the first copy it would cost several times as much. Collective.
  void prepare(const std::vector<CheckpointArray>& arrays);
  /// Begins the checkpoint of `step`, or, with checkpoint.async = false, writes it. `began`: started when training stopped for it. Collective. Throws what the one
  /// before it met, as finish() does, where that ends the run.
  void write(std::int64_t step, const std::vector<CheckpointArray>& arrays, CheckpointContent content, const Timer& began);

  /// Takes the outcome of what is complete; says and records it (rank 0). True where something met since ends the run: a write that failed with
  /// checkpoint.on_error = stop, or another run that took the directory over. Not collective; once a step.
  bool poll();
  /// Where poll() was true on some rank: throws that error on all. Collective.
  void raise();
  /// Waits until all is on the disk. `last`: a failure is an error whatever checkpoint.on_error says, for there is no later one. Collective.
  void finish(bool last);

  /// Removes all but the `checkpoint.keep` newest up to `step`, and those of later steps: damaged ones that were passed over, or of a run that this one went
  /// back from. Rank 0.
  void remove_old(std::int64_t step) const;

  /// Seconds that the last one took from its beginning to its name; 0: none yet. The same on no two ranks.
  double last_seconds() const { return last_seconds_; }
  struct Totals {
    std::int64_t written = 0, failed = 0;
    double stall = 0, writing = 0, waiting = 0;  // seconds: training stood still; the thread wrote; training waited for the one before
  };
  const Totals& totals() const { return totals_; }

 private:
  struct Pending {
    std::int64_t step = 0;
    std::filesystem::path file;
    double stall = 0;
    std::future<double> seconds;  // that writing took
  };
  /// The outcome of pending_, waited for. A failure is said, recorded, and kept in error_ where it ends the run.
  void collect();
  double write_now(const std::filesystem::path& file, const CheckpointContent& content, std::int64_t step);

  const Communicator& run_;
  Communicator comm_;                  // of the writing threads
  IoThread& h5_;
  RunDirectory& directory_;
  RunOwnership& ownership_;
  bool async_, stops_;
  std::int64_t keep_;
  CheckpointWriting how_;
  CheckpointStage stage_;
  std::future<void> prepared_;
  std::optional<Pending> pending_;
  std::optional<IoError> error_;
  bool failed_ = false;                // the last one, whatever on_error says
  std::string failure_;
  Totals totals_;
  double last_seconds_ = 0;
  std::atomic<bool> abandoned_ = false;
  std::optional<IoThread> writer_;     // last: it ends first
};

}  // namespace trireme
