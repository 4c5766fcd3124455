// Load balancing between ranks of different speed (parallel.balance = measured): each rank measures the time of its own work, and faster ranks get
// more samples. The gradient is the sum over samples divided by their number in the whole batch, so shares change which rank computes a sample, but
// not the result.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace trireme {

/// Shares of a batch that minimize the time of the slowest rank, max over r of seconds_per_sample[r] * share[r]. Shares are whole numbers from 1 to
/// `most`, and their sum is `batch`. Requires ranks <= batch <= ranks * most. Equal arguments give equal results on all ranks.
std::vector<std::int64_t> balanced_shares(std::span<const double> seconds_per_sample, std::int64_t batch, std::int64_t most);

class Balancer {
 public:
  /// Steps between two evaluations of the measurements; number of first steps that are not measured, because they include one-time setup.
  static constexpr std::int64_t period = 10, warm_up = 2;
  /// Shares change only if the expected time of the slowest rank decreases by at least this fraction.
  static constexpr double worthwhile = 0.03;

  /// `place`: this rank's coordinate on the data axis of `ranks` ranks. `comm`: all ranks of the run; it must outlive the balancer.
  Balancer(const Communicator& comm, int place, int ranks, std::int64_t batch, std::int64_t most);

  /// Records one step of this rank: seconds of its own work for `samples` samples, without waits on the data axis, and seconds of the whole step.
  void add(double own, double step, std::int64_t samples);
  /// Returns new shares of a batch if they are worthwhile; the same on all ranks. Collective over `comm` every `period` steps: call it after each
  /// add().
  std::optional<std::vector<std::int64_t>> decide();

  const std::vector<std::int64_t>& shares() const { return shares_; }
  /// Smoothed seconds of own work per sample, by coordinate on the data axis; 0 before the first evaluation.
  const std::vector<double>& seconds_per_sample() const { return rates_; }
  std::int64_t changes() const { return changes_; }
  /// Measured gain: median seconds per step in the periods with even shares, and in the last four periods (without the one right after the first
  /// change). Empty if shares never changed, or if no such period is complete. The same on all ranks.
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
  std::vector<double> own_, step_;  // of this period: seconds per sample, seconds per step
  std::int64_t steps_ = 0, changes_ = 0;
  std::vector<double> even_steps_, uneven_steps_;  // medians over the steps of a period, slowest rank
};

/// TRIREME_SLOW_RANK = "RANK:FACTOR", for tests: this rank of a run sleeps after each piece of its own work, so that the piece takes FACTOR times as
/// long.
class SlowDown {
 public:
  /// Throws a usage error if the variable is malformed.
  static SlowDown from_environment(int rank);
  bool active() const { return factor_ > 1; }
  void after(double seconds) const;

 private:
  double factor_ = 1;
};

}  // namespace trireme
