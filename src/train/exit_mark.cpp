#include "train/exit_mark.hpp"

#include <fstream>
#include <system_error>

#include "base/log.hpp"

namespace trireme {

void clear_exit_mark(const Communicator& comm, const std::filesystem::path& run) {
  std::error_code ignored;
  if (comm.rank() == 0) std::filesystem::remove(run / "exit_code", ignored);
}

void leave_exit_mark(const Communicator& comm, const std::filesystem::path& run, int code) {
  if (comm.rank() != 0) return;
  const auto file = run / "exit_code";
  std::ofstream stream(file);
  stream << code << '\n';
  if (!stream.flush()) log::warn("'{}' cannot be written: a job script has only the launcher's exit code to go by", file.string());
}

}  // namespace trireme
