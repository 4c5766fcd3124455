// Stop signals: SIGTERM, SIGUSR1, SIGINT and SIGHUP, by which Slurm, users and terminals stop a run. The program has no signal handler for them.
//
// A handler runs on the stack of the interrupted code. Kernels compiled at run time may use the stack pointer as an additional register (matrix
// products of oneDNN 2.6 do), so that the frame of the handler would overwrite other memory. Therefore all threads block these signals, and one
// thread receives them with sigwait. A handler that a library installed for one of them (MPI libraries do for SIGUSR1) never runs.
#pragma once

#include <csignal>
#include <memory>

namespace trireme {

/// The signals that stop a run. SIGHUP is one of them unless it was ignored when the process started (nohup).
sigset_t stop_signals();

/// Gives SIGHUP back what it did when the process started. UCX, under MPI, installs a handler for it even where nohup ignores it. Call it after MPI_Init,
/// and stop_signals() before.
void restore_hangup();

/// Blocks the stop signals of the calling thread during its lifetime; threads started in this time keep them blocked.
class StopSignalsBlocked {
 public:
  StopSignalsBlocked() {
    const sigset_t set = stop_signals();
    pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  /// Blocks them until the end of the process instead.
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

/// Stop signals as a flag to poll. All objects share the received signals. The first object starts the thread that receives signals, the last one
/// ends it.
class StopSignal {
 public:
  /// From this call to the end of the process stop signals have no effect by themselves, so a signal after the end of the run changes nothing.
  /// Threads started earlier must have blocked them.
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// Number of the first received signal; 0: none. A second SIGINT (Ctrl-C), some time after the first, ends the process immediately.
  int received() const;
  /// The same for any existing object; 0 if none exists.
  static int seen();

 private:
  class Watch;
  std::shared_ptr<Watch> watch_;
};

}  // namespace trireme
