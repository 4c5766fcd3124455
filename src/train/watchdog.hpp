// Says who keeps a run waiting, and ends it. Each rank's watchdog is a thread that looks at what its own rank does (comm/whereabouts.hpp). Where that has
// waited longer than run.hang_timeout, one of them speaks for all: which ranks have not arrived, where each is, who waits in which operation; then it aborts the job
// with ExitCode::hang.
//
// How it knows of the others, without MPI (a stopped process makes no progress there): ranks of a node write their whereabouts into memory that they share, so
// a rank that was stopped with SIGSTOP, or whose node-mate was killed, is still seen where it was, with the time of its last sign of life. Between nodes, files in
// the run directory carry them, and only then: who speaks makes RUN/.hang-TOKEN; watchdogs that see it write the whereabouts of their node beside it. A node
// without such a file within some seconds has not arrived. Files of a run that ended so are removed when the directory is taken over.
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
  /// Watches the calling thread from now on; `seconds` = 0: only tells messages where it is. `token`: of this run, the same on all ranks. Collective.
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
