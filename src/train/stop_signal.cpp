#include "train/stop_signal.hpp"

#include <csignal>

namespace trireme {

namespace {
volatile std::sig_atomic_t received_signal = 0;
struct sigaction old_term, old_usr1;
void remember(int signal) { received_signal = signal; }
}  // namespace

StopSignal::StopSignal() {
  received_signal = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, &old_term);
  sigaction(SIGUSR1, &action, &old_usr1);
}

StopSignal::~StopSignal() {
  sigaction(SIGTERM, &old_term, nullptr);
  sigaction(SIGUSR1, &old_usr1, nullptr);
}

int StopSignal::received() const { return received_signal; }

}  // namespace trireme
