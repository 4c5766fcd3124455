// polynomial: as torch.optim.lr_scheduler.PolynomialLR, with an end above 0.
#include <algorithm>
#include <cmath>

#include "optim/schedule.hpp"

namespace trireme {

TRIREME_SCHEDULE(polynomial) {
  return {.help = "lr (f + (1 - f) (1 - s / S)^p) with f = schedule.final and p = schedule.power, as torch's PolynomialLR for f = 0.",
          .keys = {number("schedule.power", KeySpec::Type::real, "1", above(0), "Exponent of the polynomial schedule. 1: linear. torch's default is 1.")},
          .follows_length = true,
          .make = [](const Deck& deck, const ScheduleLength& length) {
            return [final = deck.real("schedule.final"), power = deck.real("schedule.power"), total = length.total](double s) {
              return final + (1 - final) * std::pow(1 - std::min(1.0, s / total), power);
            };
          }};
}

}  // namespace trireme
