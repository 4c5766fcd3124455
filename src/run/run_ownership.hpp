// The owner of a run directory. A job that was requeued while some of its ranks are still alive, or a second start by mistake, makes two runs that
// write into one folder. The later run becomes the owner: it replaces RUN/owner.json by a rename, then removes all half-written checkpoints of other
// runs. The earlier run
//   - checks, before it creates the file of a checkpoint and again before it renames it, that owner.json still has its token;
//   - if it checked just before the replacement, finds its file removed, so that its rename fails;
//   - appends to the old metrics.jsonl and log.txt: the later run creates new files with these names (RunDirectory).
// So no lock is needed, which parallel file systems may not provide. It is enough that a process that opens a file after a rename or removal sees it.
#pragma once

#include <filesystem>
#include <string>

#include "base/timer.hpp"
#include "comm/communicator.hpp"

namespace trireme {

/// A unique token: 16 hexadecimal digits.
std::string new_run_token();

class RunOwnership {
 public:
  /// Creates the folder if needed and takes it over. Collective. An unwritable folder is a checkpoint error.
  RunOwnership(const Communicator& comm, const std::filesystem::path& run_directory);

  /// Token of this run: 16 hexadecimal digits, the same on all ranks.
  const std::string& token() const { return token_; }
  /// Throws an error of code ExitCode::superseded that names the current owner if another run owns the directory, or a checkpoint error if owner.json
  /// (or the folder) does not exist. Any thread; reads one file.
  void check() const;
  /// Whether another run owns the directory; reads the file at most once per second. A missing file counts as no. One thread.
  bool lost();

 private:
  std::filesystem::path file_;
  std::string token_;
  Timer since_;
  double looked_ = 0;
  bool lost_ = false;
};

}  // namespace trireme
