// Whose a run directory is. A job that was requeued while some of its ranks lived on, or a second start by mistake, makes two runs that would write into
// one folder. The later one owns it: it replaces RUN/owner.json by rename, then removes every half-written checkpoint of others. The earlier one
//   - asks, before it makes a checkpoint's file and again before it gives it its name, whether the file still says its own token;
//   - where it asked just before the replacement, finds its file removed, so that the rename fails;
//   - appends to metrics.jsonl and log.txt of before: the later run makes new files under these names (RunDirectory).
// So no lock is needed, which parallel file systems may not have; what is needed is that a rename and a removal are seen by who opens the file next.
#pragma once

#include <filesystem>
#include <string>

#include "base/timer.hpp"
#include "comm/communicator.hpp"

namespace trireme {

/// A word that no other run has: 16 hexadecimal digits.
std::string new_run_token();

class RunOwnership {
 public:
  /// Makes the folder where it is not there and takes it over. Collective; a folder that cannot be written is a checkpoint error.
  RunOwnership(const Communicator& comm, const std::filesystem::path& run_directory);

  /// This run's own word: 16 hexadecimal digits, the same on all ranks.
  const std::string& token() const { return token_; }
  /// Throws an ExitCode::superseded error that says who owns the directory now; a checkpoint error when owner.json is gone, with the folder perhaps.
  /// Any thread; one file read.
  void check() const;
  /// Whether another run owns it, looked for once a second at most. A file that is not there says nothing. One thread.
  bool lost();

 private:
  std::filesystem::path file_;
  std::string token_;
  Timer since_;
  double looked_ = 0;
  bool lost_ = false;
};

}  // namespace trireme
