#include "optim/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace trireme {

Schedule::Schedule(const Deck& deck, std::int64_t steps_per_epoch, std::int64_t total_steps)
    : lr_(deck.real("optimizer.lr")), gamma_(deck.real("schedule.gamma")), final_(deck.real("schedule.final")) {
  const std::string& kind = deck.text("schedule.kind");
  kind_ = kind == "step" ? Kind::step : kind == "cosine" ? Kind::cosine : kind == "linear" ? Kind::linear : Kind::constant;
  const double per_epoch = static_cast<double>(steps_per_epoch);
  warmup_ = std::round(deck.real("schedule.warmup") * per_epoch);
  every_ = std::max(1.0, std::round(static_cast<double>(deck.integer("schedule.every")) * per_epoch));
  decay_steps_ = std::max(1.0, static_cast<double>(total_steps) - warmup_);
}

double Schedule::at(std::int64_t step) const {
  const double now = static_cast<double>(step);
  if (now < warmup_) return lr_ * (now + 1) / warmup_;
  const double since = now - warmup_, share = std::min(1.0, since / decay_steps_);
  switch (kind_) {
    case Kind::step: return lr_ * std::pow(gamma_, std::floor(since / every_));
    case Kind::cosine: return lr_ * (final_ + (1 - final_) * 0.5 * (1 + std::cos(std::numbers::pi * share)));
    case Kind::linear: return lr_ * (1 - (1 - final_) * share);
    case Kind::constant: break;
  }
  return lr_;
}

}  // namespace trireme
