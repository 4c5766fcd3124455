#include "train/stop_signal.hpp"

#include <ctime>

#include "base/stop_signals.hpp"

namespace trireme {

StopSignal::StopSignal() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

int StopSignal::received() {
  if (received_ != 0) return received_;
  const sigset_t set = stop_signals();
  const timespec no_time{0, 0};
  const int signal = sigtimedwait(&set, nullptr, &no_time);
  if (signal > 0) received_ = signal;
  return received_;
}

}  // namespace trireme
