// one_cycle: up to the peak and down to almost 0 (Smith and Topin 2018), as torch.optim.lr_scheduler.OneCycleLR with three_phase = False. The momentum stays.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "optim/schedule.hpp"

namespace trireme {

TRIREME_SCHEDULE(one_cycle) {
  return {
      .help =
          "From lr / schedule.div_factor up to lr in the first schedule.pct_start of the run, then down to lr / (div_factor schedule.final_div_factor), as "
          "torch's OneCycleLR without its cycle of the momentum.",
      .keys = {number("schedule.pct_start", KeySpec::Type::real, "0.3", between(0, 1), "Part of the run in which the one_cycle schedule rises."),
               number("schedule.div_factor", KeySpec::Type::real, "25", above(0), "optimizer.lr divided by the first learning rate of the one_cycle schedule."),
               number("schedule.final_div_factor", KeySpec::Type::real, "1e4", above(0),
                      "The first learning rate of the one_cycle schedule divided by the last."),
               choice("schedule.anneal", {"cos", "linear"}, "Shape of the two phases of the one_cycle schedule: a half cosine, or a line.")},
      .follows_length = true,
      .make = [](const Deck& deck, const ScheduleLength& length) {
        const double start = 1 / deck.real("schedule.div_factor"), end = start / deck.real("schedule.final_div_factor");
        const double top = deck.real("schedule.pct_start") * length.total - 1, last = length.total - 1;
        const bool cosine = deck.text("schedule.anneal") == "cos";
        const auto anneal = [cosine](double from, double to, double part) {
          return cosine ? to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * part)) : from + (to - from) * part;
        };
        return [=](double s) {
          if (s <= top && top > 0) return anneal(start, 1, s / top);
          return last > top ? anneal(1, end, std::min(1.0, (s - top) / (last - top))) : 1.0;
        };
      }};
}

}  // namespace trireme
