// Batches divided among ranks of uneven speed (parallel.balance = measured): each rank's own seconds are measured, and those that are done first get more
// samples. The gradient is the sum over samples divided by their number in the whole batch, so shares change who computes a sample, not what is computed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace trireme {

/// Shares of a batch that make the slowest one's time, max over r of seconds_per_sample[r] * share[r], as small as whole samples allow: each share is 1 to
/// `most`, their sum `batch`. Needs ranks <= batch <= ranks * most. The same numbers in give the same numbers out on every rank.
std::vector<std::int64_t> balanced_shares(std::span<const double> seconds_per_sample, std::int64_t batch, std::int64_t most);

class Balancer {
 public:
  /// Steps between two looks at the measurements; the first steps of a run, which make things that later ones find, do not count.
  static constexpr std::int64_t period = 10, warm_up = 2;
  /// Shares change where the slowest rank's time is expected to fall by this fraction at least.
  static constexpr double worthwhile = 0.03;

  /// `place` of `ranks` on the data axis is this rank's. `comm`, which outlives this: all ranks of the run.
  Balancer(const Communicator& comm, int place, int ranks, std::int64_t batch, std::int64_t most);

  /// One step of this rank: seconds of its own work, which waits for nobody on the data axis, for `samples` samples, and seconds of the whole step.
  void add(double own, double step, std::int64_t samples);
  /// New shares of a whole batch where they are worth it; the same on all ranks. Collective over `comm` every `period` steps: call it after each add().
  std::optional<std::vector<std::int64_t>> decide();

  const std::vector<std::int64_t>& shares() const { return shares_; }
  /// Smoothed seconds of own work a sample of each place; 0 before the first look.
  const std::vector<double>& seconds_per_sample() const { return rates_; }
  std::int64_t changes() const { return changes_; }
  /// What was gained, as measured: median seconds of a step in the periods under even shares, and in the last four periods (not the one right after the
  /// first change). Nothing where shares never changed, or no such period went by. The same on all ranks.
  struct Gain {
    double even, now;
  };
  std::optional<Gain> gain() const;

 private:
  const Communicator& comm_;
  int place_;
  std::int64_t batch_, most_;
  std::vector<std::int64_t> shares_;
  std::vector<double> rates_;
  std::vector<double> own_, step_;   // of this period: seconds a sample, seconds a step
  std::int64_t steps_ = 0, changes_ = 0;
  std::vector<double> even_steps_, uneven_steps_;  // medians of the periods' steps, slowest rank
};

/// TRIREME_SLOW_RANK = "RANK:FACTOR", for tests and trials: that rank of a run sleeps after each piece of its own work until it has taken FACTOR
/// times as long.
class SlowDown {
 public:
  /// Usage error where the variable says something else.
  static SlowDown from_environment(int rank);
  bool active() const { return factor_ > 1; }
  void after(double seconds) const;

 private:
  double factor_ = 1;
};

}  // namespace trireme
