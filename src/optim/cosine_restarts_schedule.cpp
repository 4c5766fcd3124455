// cosine_restarts: cosine decays that begin anew (Loshchilov and Hutter 2017), as torch.optim.lr_scheduler.CosineAnnealingWarmRestarts.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "optim/schedule.hpp"

namespace trireme {

TRIREME_SCHEDULE(cosine_restarts) {
  return {.help =
              "lr (f + (1 - f) (1 + cos(pi c / C)) / 2) with f = schedule.final, c steps since the last restart and C steps between restarts: schedule.period "
              "epochs, each time multiplied by schedule.period_factor, as torch's CosineAnnealingWarmRestarts.",
          .keys = {number("schedule.period", KeySpec::Type::real, "10", above(0), "Epochs until the first restart of the cosine_restarts schedule."),
                   number("schedule.period_factor", KeySpec::Type::real, "1", at_least(1),
                          "Factor between two periods of the cosine_restarts schedule. 1: equal periods.")},
          .make = [](const Deck& deck, const ScheduleLength& length) {
            const double first = std::max(1.0, std::round(deck.real("schedule.period") * length.epoch)), factor = deck.real("schedule.period_factor");
            return [final = deck.real("schedule.final"), first, factor](double s) {
              double begin = 0, period = first;
              if (factor == 1) {
                begin = std::floor(s / first) * first;
              } else {
                while (s >= begin + period) begin += period, period *= factor;
              }
              return final + (1 - final) * 0.5 * (1 + std::cos(std::numbers::pi * (s - begin) / period));
            };
          }};
}

}  // namespace trireme
