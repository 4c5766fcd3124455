#include "optim/schedule.hpp"

#include <algorithm>
#include <cmath>

#include "base/registry.hpp"

namespace trireme {

namespace {

const bool keys_are_known = add_keys_of(schedule_kinds());

}  // namespace

const ScheduleKind& schedule_kind(const Deck& deck) { return entry_of(schedule_kinds(), deck.text("schedule.kind")); }

Schedule::Schedule(const Deck& deck, std::int64_t steps_per_epoch, std::int64_t total_steps)
    : lr_(deck.real("optimizer.lr")), warmup_(std::round(deck.real("schedule.warmup") * static_cast<double>(steps_per_epoch))) {
  const ScheduleLength length{static_cast<double>(steps_per_epoch), std::max(1.0, static_cast<double>(total_steps) - warmup_)};
  factor_ = schedule_kind(deck).make(deck, length);
}

double Schedule::at(std::int64_t step) const {
  const double now = static_cast<double>(step);
  return now < warmup_ ? lr_ * (now + 1) / warmup_ : lr_ * factor_(now - warmup_);
}

}  // namespace trireme
