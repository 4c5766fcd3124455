// SIGTERM and SIGUSR1 (what Slurm sends before a limit) become a wish that the training loop looks for once a step.
#pragma once

#include "base/stop_signals.hpp"

namespace trireme {

class StopSignal {
 public:
  StopSignal() = default;
  /// Takes signals that came too late with it.
  ~StopSignal();

  /// The number of the first signal that came to this rank; 0: none. One system call while there is none.
  int received();

 private:
  StopSignalsBlocked blocked_;
  int received_ = 0;
};

}  // namespace trireme
