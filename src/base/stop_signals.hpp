// SIGTERM, SIGUSR1, SIGINT and SIGHUP, by which Slurm, people and terminals ask a run to stop, are never handled by a handler.
//
// A handler is run on the stack of whatever it interrupts. Compiled-at-run-time kernels may use the stack pointer as one more register
// (oneDNN 2.6's matrix products do): the handler's frame then lands in somebody's heap. So these signals stay blocked, in all threads, and one thread takes
// them by sigwait. A handler that a library installed for one of them (MPI libraries do, for SIGUSR1) is never run.
#pragma once

#include <csignal>
#include <memory>

namespace trireme {

/// The signals that ask a run to stop. SIGHUP is one of them unless it was ignored when the process began (nohup).
sigset_t stop_signals();

/// While it lives the calling thread, and every thread that it starts, for good, leaves stop signals pending.
class StopSignalsBlocked {
 public:
  StopSignalsBlocked() {
    const sigset_t set = stop_signals();
    pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  /// To the end of the process instead.
  void keep() { kept_ = true; }
  ~StopSignalsBlocked() {
    if (!kept_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  StopSignalsBlocked(const StopSignalsBlocked&) = delete;
  StopSignalsBlocked& operator=(const StopSignalsBlocked&) = delete;

 private:
  sigset_t before_;
  bool kept_ = false;
};

/// Stop signals as a wish that others look for. Several objects share what came: the first one that is made starts the thread that takes signals, the last one
/// that goes ends it.
class StopSignal {
 public:
  /// From now on, to the end of the process, stop signals do nothing by themselves: one that comes when the run is over changes nothing. Threads that were started
  /// before must have them blocked.
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The number of the first signal that came; 0: none. A second SIGINT (Ctrl-C), a moment or more after the first, ends the process at once.
  int received() const;
  /// The same, of whatever object lives; 0 where none does.
  static int seen();

 private:
  class Watch;
  std::shared_ptr<Watch> watch_;
};

}  // namespace trireme
