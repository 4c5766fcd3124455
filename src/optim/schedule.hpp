// The learning rate as a function of the step alone, so that a restart continues it. A file of this folder registers a schedule with TRIREME_SCHEDULE(name).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "config/deck.hpp"
#include "config/key_spec.hpp"

namespace trireme {

/// How long a schedule is, in steps.
struct ScheduleLength {
  double epoch;  // steps of an epoch
  double total;  // steps from the end of warm-up to the end of training, at least 1
};

struct ScheduleKind {
  std::string name = {};             // the value of schedule.kind; the registry sets it
  std::string help;                  // one sentence with the formula, for the deck reference
  std::vector<KeySpec> keys = {};    // deck keys that this kind alone has
  bool follows_length = false;       // whether the factors depend on the length of the run
  bool follows_evaluations = false;  // whether the run multiplies by a factor that depends on its evaluations (train/quality.hpp)
  /// Makes the factor of optimizer.lr as a function of the steps since warm-up, 0 for the first.
  std::function<std::function<double(double)>(const Deck&, const ScheduleLength&)> make;
};

/// All schedules, in the order of their files.
const std::vector<ScheduleKind>& schedule_kinds();
/// The one that schedule.kind names.
const ScheduleKind& schedule_kind(const Deck& deck);

#define TRIREME_SCHEDULE(kind) ScheduleKind schedule_kind_##kind()

class Schedule {
 public:
  /// From [optimizer] lr and [schedule]. `steps_per_epoch` and `total_steps` turn epochs into steps.
  Schedule(const Deck& deck, std::int64_t steps_per_epoch, std::int64_t total_steps);
  /// Learning rate of step `step`, 0 for the first update: lr (step + 1) / w in the first w steps (warm-up, Goyal et al. 2017), then lr times the factor of the
  /// kind.
  double at(std::int64_t step) const;

 private:
  double lr_, warmup_;  // warmup_ in steps
  std::function<double(double)> factor_;
};

}  // namespace trireme
