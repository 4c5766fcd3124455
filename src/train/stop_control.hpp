// Decides when a run stops early and when it writes time-based checkpoints: stop signals, the time limit, checkpoint.minutes, and the agreement of all ranks.
//
// Owns the stop signal, the time limit and the time since the last checkpoint. Nothing here is collective: wants() returns the requests of this rank, the
// step's reduction combines them (ControlExchange), and agree() stores the result.
#pragma once

#include <string>

#include "base/stop_signals.hpp"
#include "base/timer.hpp"
#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "run/time_limit.hpp"
#include "train/control_exchange.hpp"

namespace trireme {

class StopControl {
 public:
  /// `checkpoint_seconds`: assumed duration of a checkpoint until one is measured. From construction on, stop signals are only recorded. Throws a usage error
  /// if the time limit leaves no time to train.
  StopControl(const Deck& deck, const Communicator& comm, double checkpoint_seconds);

  /// The requests of this rank; call it once per step.
  StepFlags wants();
  /// Stores the combined requests of all ranks, after the step's reduction.
  void agree(const StepFlags& flags);

  /// Whether this process received a stop signal or (rank 0) the time limit is near. Also called between batches of an evaluation.
  bool wants_stop() { return signal_received() || (comm_.rank() == 0 && time_limit_.near(TimeLimit::now())); }
  bool signal_received() const { return signal_.received() != 0; }

  /// Whether the run stops, and whether a time-based checkpoint is due; the same on all ranks.
  bool stop_requested() const { return stop_; }
  bool checkpoint_due() const { return save_; }
  void request_stop() { stop_ = true; }
  /// Discards the agreed requests, after a rollback.
  void withdraw_stop() { stop_ = false; }

  /// Restarts the time to the next time-based checkpoint.
  void checkpoint_began() { since_checkpoint_.reset(); }
  void checkpoint_took(double seconds) { time_limit_.checkpoint_took(seconds); }

  const TimeLimit& time_limit() const { return time_limit_; }
  /// Reason of the stop, for the log.
  std::string reason() const;

 private:
  const Communicator& comm_;
  StopSignal signal_;
  TimeLimit time_limit_;    // checked on rank 0
  double save_after_;       // seconds between time-based checkpoints; 0: off
  Timer since_checkpoint_;  // used on rank 0
  bool stop_ = false, save_ = false;
};

}  // namespace trireme
