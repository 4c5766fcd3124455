#include "run/exit_status_file.hpp"

#include <system_error>

#include "base/error.hpp"
#include "base/log.hpp"
#include "io/record_file.hpp"

namespace trireme {

void remove_exit_status(const Communicator& comm, const std::filesystem::path& run) {
  std::error_code ignored;
  if (comm.rank() == 0) std::filesystem::remove(run / "exit_code", ignored);
}

void write_exit_status(const Communicator& comm, const std::filesystem::path& run, int code) {
  if (comm.rank() != 0) return;
  try {
    // No run writes two of these at once, so the tag need not be unique: zeros.
    replace_record(run / "exit_code", "0000000000000000", fmt::format("{}\n", code));
  } catch (const Error& error) {
    log::warn("{} A job script can use only the launcher's exit code", error.what());
  }
}

}  // namespace trireme
