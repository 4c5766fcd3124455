#include "train/stop_signal.hpp"

#include <ctime>

namespace trireme {

namespace {

/// The number of a stop signal that is pending, which it is no longer then; 0: none.
int take_pending() {
  const sigset_t set = stop_signals();
  const timespec no_time{0, 0};
  const int signal = sigtimedwait(&set, nullptr, &no_time);
  return signal > 0 ? signal : 0;
}

}  // namespace

StopSignal::~StopSignal() {
  while (take_pending() != 0) {
  }
}

int StopSignal::received() {
  if (received_ == 0) received_ = take_pending();
  return received_;
}

}  // namespace trireme
