// SIGTERM and SIGUSR1, by which Slurm and people ask a run to stop, are never handled by a handler but looked for.
//
// A handler is run on the stack of whatever it interrupts. Compiled-at-run-time kernels may use the stack pointer as one more register
// (oneDNN 2.6's matrix products do): the handler's frame then lands in somebody's heap. So these signals stay blocked, in all threads.
#pragma once

#include <csignal>

namespace trireme {

/// The signals that ask a run to stop.
inline sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR1);
  return set;
}

/// While it lives the calling thread, and every thread that it starts, for good, leaves stop signals pending.
class StopSignalsBlocked {
 public:
  StopSignalsBlocked() {
    const sigset_t set = stop_signals();
    pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  /// To the end of the process instead.
  void keep() { sigaddset(&before_, SIGTERM), sigaddset(&before_, SIGUSR1); }
  ~StopSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  StopSignalsBlocked(const StopSignalsBlocked&) = delete;
  StopSignalsBlocked& operator=(const StopSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace trireme
