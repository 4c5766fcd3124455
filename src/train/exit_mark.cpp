#include "train/exit_mark.hpp"

#include <system_error>

#include "base/error.hpp"
#include "base/log.hpp"
#include "io/record_file.hpp"

namespace trireme {

void clear_exit_mark(const Communicator& comm, const std::filesystem::path& run) {
  std::error_code ignored;
  if (comm.rank() == 0) std::filesystem::remove(run / "exit_code", ignored);
}

void leave_exit_mark(const Communicator& comm, const std::filesystem::path& run, int code) {
  if (comm.rank() != 0) return;
  try {
    // No run writes two at once, and the file's own name says whose it is: a tag of zeros.
    replace_record(run / "exit_code", "0000000000000000", fmt::format("{}\n", code));
  } catch (const Error& error) {
    log::warn("{} A job script has only the launcher's exit code to go by", error.what());
  }
}

}  // namespace trireme
