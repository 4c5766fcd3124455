// The learning rate schedules. s: steps since warm-up; S: all steps after warm-up.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "optim/schedule.hpp"

namespace trireme {

TRIREME_SCHEDULE(constant) {
  return {.help = "The learning rate stays at optimizer.lr.", .make = [](const Deck&, const ScheduleLength&) { return [](double) { return 1.0; }; }};
}

TRIREME_SCHEDULE(step) {
  return {.help = "lr gamma^floor(s / every): multiplied by schedule.gamma after each schedule.every epochs.",
          .make = [](const Deck& deck, const ScheduleLength& length) {
            const double every = std::max(1.0, std::round(static_cast<double>(deck.integer("schedule.every")) * length.epoch));
            return [gamma = deck.real("schedule.gamma"), every](double s) { return std::pow(gamma, std::floor(s / every)); };
          }};
}

TRIREME_SCHEDULE(cosine) {
  return {.help = "lr (f + (1 - f) (1 + cos(pi s / S)) / 2) with f = schedule.final (Loshchilov and Hutter 2017, equation 5).",
          .follows_length = true,
          .make = [](const Deck& deck, const ScheduleLength& length) {
            return [final = deck.real("schedule.final"), total = length.total](double s) {
              return final + (1 - final) * 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, s / total)));
            };
          }};
}

TRIREME_SCHEDULE(linear) {
  return {.help = "lr (1 - (1 - f) s / S) with f = schedule.final.", .follows_length = true, .make = [](const Deck& deck, const ScheduleLength& length) {
            return [final = deck.real("schedule.final"), total = length.total](double s) { return 1 - (1 - final) * std::min(1.0, s / total); };
          }};
}

}  // namespace trireme
