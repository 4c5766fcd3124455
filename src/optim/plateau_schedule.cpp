// plateau: reductions when an evaluation does not improve any more, as torch.optim.lr_scheduler.ReduceLROnPlateau. The factor depends on evaluations, so the
// run computes it (train/quality.hpp) and keeps it in checkpoints.
#include "optim/schedule.hpp"

namespace trireme {

TRIREME_SCHEDULE(plateau) {
  return {.help =
              "lr times schedule.gamma each time that more than schedule.patience evaluations in a row have not improved train.best (the loss if it is empty), "
              "but never below schedule.final lr, as torch's ReduceLROnPlateau. It needs data.validation or data.test.",
          .keys = {number("schedule.patience", KeySpec::Type::integer, "10", at_least(0),
                          "Evaluations without improvement that the plateau schedule tolerates. 0: reduce at the first."),
                   number("schedule.threshold", KeySpec::Type::real, "1e-4", from_to_below(0, 1),
                          "Relative change that the plateau schedule counts as an improvement: below best (1 - threshold), or above best (1 + threshold)."),
                   number("schedule.cooldown", KeySpec::Type::integer, "0", at_least(0),
                          "Evaluations after a reduction in which the plateau schedule does not count.")},
          .follows_evaluations = true,
          .make = [](const Deck&, const ScheduleLength&) { return [](double) { return 1.0; }; }};
}

}  // namespace trireme
