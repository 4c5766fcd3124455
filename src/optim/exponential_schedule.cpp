// exponential: as torch.optim.lr_scheduler.ExponentialLR, in every step instead of every epoch.
#include <cmath>

#include "optim/schedule.hpp"

namespace trireme {

TRIREME_SCHEDULE(exponential) {
  return {.help = "lr gamma^(s / E) with E steps per epoch: schedule.gamma per epoch, in equal factors per step (torch's ExponentialLR, at each epoch).",
          .make = [](const Deck& deck, const ScheduleLength& length) {
            return [gamma = deck.real("schedule.gamma"), epoch = length.epoch](double s) { return std::pow(gamma, s / epoch); };
          }};
}

}  // namespace trireme
