// SIGTERM and SIGUSR1 (what Slurm sends before a limit) become a wish that the training loop looks at once a step.
#pragma once

namespace trireme {

class StopSignal {
 public:
  /// Installs the handlers; the earlier ones return with the object's end. One at a time.
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The number of the signal that came to this rank; 0: none.
  int received() const;
};

}  // namespace trireme
