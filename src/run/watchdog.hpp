// Reports which ranks block a run, and ends it. The watchdog of each rank is a thread that observes the status of its rank (comm/whereabouts.hpp). If
// a rank waits longer than run.hang_timeout, one watchdog prints a report for all: which ranks have not arrived, where each of them is, and which
// ranks wait in which operation. Then it aborts the job with ExitCode::hang.
//
// The watchdogs do not use MPI, because a stopped process makes no progress there. Ranks of a node write their status into shared memory. So the last
// status of a rank that was stopped with SIGSTOP or killed is visible, with the time of its last sign of life. Nodes exchange their status through
// files in the run directory, but only for a report: the reporting watchdog creates RUN/.hang-TOKEN, and the watchdogs of other nodes write the
// status of their ranks next to it. A node without such a file after some seconds does not respond. Files of a run that ended like this are removed
// by the next run that takes over the directory.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "comm/communicator.hpp"

namespace trireme {

class Watchdog {
 public:
  /// Watches the calling thread; `seconds` = 0: only provides its status for error messages. `token`: token of this run, the same on all ranks.
  /// Collective.
  Watchdog(const Communicator& comm, double seconds, const std::filesystem::path& run_directory, const std::string& token);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  struct Board;
  void loop();

  std::unique_ptr<Board> board_;
  std::atomic<bool> ends_ = false;
  std::thread thread_;
};

}  // namespace trireme
