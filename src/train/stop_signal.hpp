// SIGTERM and SIGUSR1 (what Slurm sends before a limit) become a wish that the training loop looks for once a step.
#pragma once

namespace trireme {

class StopSignal {
 public:
  /// From now on, to the end of the process, stop signals wait for received(): one that comes when the run is over changes nothing.
  StopSignal();

  /// The number of the first signal that came to this rank; 0: none. One system call while there is none.
  int received();

 private:
  int received_ = 0;
};

}  // namespace trireme
