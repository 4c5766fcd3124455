// Measures this rank's work in each step, and gives the ranks of the data axis new shares of a batch if that is faster (parallel.balance = measured).
//
// Owns the balancer and the measured seconds of the current step. TRIREME_SLOW_RANK slows a rank down for tests.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "train/balancer.hpp"
#include "train/run_context.hpp"

namespace trireme {

class StepBalance {
 public:
  /// `run` must outlive the object. Not collective; throws a usage error if TRIREME_SLOW_RANK is malformed.
  explicit StepBalance(const RunContext& run);

  /// Whether work is measured; each batch then ends with a wait for the device.
  bool measures() const { return balancer_ || slow_down_.active(); }
  void begin_step() { own_seconds_ = 0, own_samples_ = 0; }
  /// Adds the seconds of this rank's own work on this number of samples, without waits.
  void add_work(double seconds, std::int64_t samples);
  /// Adds the seconds of the step on this rank. Returns new shares if they are faster. Collective over the run with parallel.balance = measured.
  std::optional<std::vector<std::int64_t>> end_step(double seconds);

  /// Null with parallel.balance = even.
  const Balancer* balancer() const { return balancer_ ? &*balancer_ : nullptr; }

 private:
  std::optional<Balancer> balancer_;
  SlowDown slow_down_;
  double own_seconds_ = 0;
  std::int64_t own_samples_ = 0;
};

}  // namespace trireme
