// milestones: reductions after given epochs, as torch.optim.lr_scheduler.MultiStepLR.
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "optim/schedule.hpp"

namespace trireme {

TRIREME_SCHEDULE(milestones) {
  return {.help = "lr gamma^(number of schedule.milestones reached): multiplied by schedule.gamma at each of these epochs, as torch's MultiStepLR.",
          .keys = {number("schedule.milestones", KeySpec::Type::list, "", above(0),
                          "Epochs after which the milestones schedule multiplies the learning rate by schedule.gamma, counted from the end of the warmup and "
                          "separated by commas: 30, 60, 80. Fractions are allowed.")},
          .make = [](const Deck& deck, const ScheduleLength& length) {
            std::vector<double> steps;
            for (const double epoch : deck.reals("schedule.milestones")) steps.push_back(std::round(epoch * length.epoch));
            if (steps.empty()) throw usage_error("schedule.kind = milestones needs schedule.milestones, which is empty. Expected epochs, as in 30, 60, 80");
            return [gamma = deck.real("schedule.gamma"), steps](double s) {
              return std::pow(gamma, static_cast<double>(std::ranges::count_if(steps, [s](double step) { return step <= s; })));
            };
          }};
}

}  // namespace trireme
