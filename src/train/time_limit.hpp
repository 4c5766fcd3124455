// Ends a run in time: before its job's wall-time limit there must be room for the step that has begun and the checkpoint after it.
#pragma once

#include <optional>

namespace trireme {

class TimeLimit {
 public:
  /// `limit`: seconds that this process may run, from its start; 0: no limit of the deck's. The scheduler's is SLURM_JOB_END_TIME, in seconds since 1970, where
  /// that is set; the earlier one counts. `margin`: seconds to leave untouched. `guess`: seconds that a checkpoint takes, until one was measured. A usage error where the limit is not more than the margin.
  TimeLimit(double limit, double margin, double guess);

  bool exists() const { return end_.has_value(); }
  /// To be called once a step, and between batches of an evaluation. Whether the time that is left at `now` is not more than what is needed. Once true, it stays so.
  bool near(double now);
  bool reached() const { return near_; }
  /// A checkpoint took so long; the longest counts.
  void checkpoint_took(double seconds);

  /// Seconds from `now` to the end. Only where a limit exists.
  double left(double now) const { return *end_ - now; }
  /// margin + 2 checkpoint + 2 of the longest times between two calls of near() (a step and what may come between, as checkpoints): until the
  /// next call one may pass, and the step that hears of it is another.
  double needed() const { return margin_ + 2 * checkpoint_ + 2 * longest_; }
  double checkpoint() const { return checkpoint_; }

  /// Seconds of a clock that nobody sets: what the wall clock does while a run goes on changes nothing.
  static double now();

 private:
  double margin_, checkpoint_;
  bool measured_ = false, near_ = false;
  double longest_ = 0;
  std::optional<double> end_, looked_;
};

}  // namespace trireme
