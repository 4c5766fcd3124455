#include "train/stop_control.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"

namespace trireme {

StopControl::StopControl(const Deck& deck, const Communicator& comm, double checkpoint_seconds)
    : comm_(comm),
      time_limit_(deck.real("run.time_limit"), deck.real("run.time_margin"), checkpoint_seconds),
      save_after_(60 * deck.real("checkpoint.minutes")) {}

StepFlags StopControl::wants() {
  return {.stop = wants_stop(), .fault = false, .save = comm_.rank() == 0 && save_after_ > 0 && since_checkpoint_.seconds() >= save_after_};
}

void StopControl::agree(const StepFlags& flags) {
  stop_ = flags.stop;
  save_ = flags.save;
}

std::string StopControl::reason() const {
  if (const int signal = signal_.received(); signal != 0) return fmt::format("signal {}", signal);
  if (time_limit_.reached())
    return fmt::format("the time limit ({} left, {} needed)", human_seconds(std::max(0.0, time_limit_.left(TimeLimit::now()))),
                       human_seconds(time_limit_.needed()));
  return "a signal to another rank";
}

}  // namespace trireme
