// The learning rate as a function of the step alone, so that a restart continues it by itself.
#pragma once

#include <cstdint>

#include "config/deck.hpp"

namespace trireme {

class Schedule {
 public:
  /// From [optimizer] lr and [schedule]. `steps_per_epoch` and `total_steps` turn epochs into steps.
  Schedule(const Deck& deck, std::int64_t steps_per_epoch, std::int64_t total_steps);
  /// Learning rate of step `step` (0 for the first update).
  /// warm-up: lr (step + 1) / w for the first w steps (Goyal et al. 2017); then, with s steps since and S in all after warm-up,
  /// constant: lr; step: lr gamma^floor(s / every); cosine: lr (f + (1 - f)(1 + cos(pi s/S))/2) (Loshchilov and Hutter 2017, eq. 5);
  /// linear: lr (1 - (1 - f) s/S).
  double at(std::int64_t step) const;

 private:
  enum class Kind { constant, step, cosine, linear } kind_;
  double lr_, gamma_, final_, warmup_, every_;  // warmup_ and every_ in steps
  double decay_steps_;
};

}  // namespace trireme
