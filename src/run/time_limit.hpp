// Ends a run before the wall-time limit of its job, while there is time for the current step and the checkpoint after it.
#pragma once

#include <optional>

namespace trireme {

class TimeLimit {
 public:
  /// `limit`: seconds that this process may run, from its start; 0: no limit in the deck. SLURM_JOB_END_TIME (seconds since 1970) is the limit of the
  /// scheduler, if set; the earlier limit applies. `margin`: safety margin in seconds. `guess`: assumed seconds of a checkpoint until one was
  /// measured. Throws a usage error if the limit is not larger than the margin.
  TimeLimit(double limit, double margin, double guess);

  bool exists() const { return end_.has_value(); }
  /// Call it once per step, and between batches of an evaluation. Returns whether the time left at `now` is at most needed(). Stays true once it was
  /// true.
  bool near(double now);
  bool reached() const { return near_; }
  /// Records the duration of a checkpoint in seconds; the longest one counts.
  void checkpoint_took(double seconds);

  /// Seconds from `now` to the limit. Requires a limit.
  double left(double now) const { return *end_ - now; }
  /// Seconds: margin + 2 checkpoint + 2 of the longest intervals between two calls of near() (a step and all that comes between). One interval may
  /// pass until the next call, and the step that sees the result is another one.
  double needed() const { return margin_ + 2 * checkpoint_ + 2 * longest_; }
  double checkpoint() const { return checkpoint_; }

  /// Seconds of a monotonic clock: changes of the wall clock during a run have no effect.
  static double now();

 private:
  double margin_, checkpoint_;
  bool measured_ = false, near_ = false;
  double longest_ = 0;
  std::optional<double> end_, looked_;
};

}  // namespace trireme
