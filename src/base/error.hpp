// Errors of the program. A message says what was asked, what was found, where, and what to do. Each kind has a documented exit code.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <stdexcept>
#include <string>
#include <utility>

namespace trireme {

/// Exit codes of the program; README lists them.
enum class ExitCode : int {
  done = 0,
  internal = 1,     // a defect of Trireme, or of a library that it uses
  usage = 2,        // command line or deck
  data = 3,         // a data set or shard
  checkpoint = 4,   // a checkpoint or run directory
  numerical = 5,    // the loss is not finite
  superseded = 76,  // a later run took over the run directory; not 6, which launchers report for SIGABRT
  hang = 7,         // a rank waited longer than run.hang_timeout
  requeue = 75      // stopped by a signal after a complete checkpoint
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// An I/O error of the operating system with its errno; 0: unknown.
class IoError : public Error {
 public:
  IoError(ExitCode code, const std::string& message, int number) : Error(code, message), number_(number) {}
  int number() const noexcept { return number_; }
  /// Whether a retry may succeed: for example a server of a network file system restarts, or a path fails over.
  bool may_pass() const noexcept { return number_ == EIO || number_ == ESTALE || number_ == ETIMEDOUT || number_ == EAGAIN || number_ == EBUSY; }

 private:
  int number_;
};

/// throw fail(ExitCode::data, "shard '{}': ... Hint: ...", path);
template <class... Args>
[[nodiscard]] Error fail(ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Error(code, fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
[[nodiscard]] Error usage_error(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ExitCode::usage, format, std::forward<Args>(args)...);
}
template <class... Args>
[[nodiscard]] Error data_error(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ExitCode::data, format, std::forward<Args>(args)...);
}
template <class... Args>
[[nodiscard]] Error checkpoint_error(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ExitCode::checkpoint, format, std::forward<Args>(args)...);
}

/// Converts any exception to an Error with a message for users. For out-of-memory errors it adds a hint.
Error described(const std::exception& error);

/// A violated invariant of the program itself; never caused by user input.
template <class... Args>
[[nodiscard]] Error internal_error(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ExitCode::internal, format, std::forward<Args>(args)...);
}

}  // namespace trireme
