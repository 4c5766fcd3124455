// Errors have one voice: what was asked, what was found, where, what to do. Each kind has a documented exit code.
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
  internal = 1,    // a fault of Trireme itself, or of a library below it
  usage = 2,       // command line or deck
  data = 3,        // a data set or shard
  checkpoint = 4,  // a checkpoint or run directory
  numerical = 5,   // the loss is not finite
  superseded = 76, // a later run took the run directory over; 6 is what launchers say of SIGABRT
  hang = 7,        // a rank waited longer than run.hang_timeout
  requeue = 75     // stopped on a signal with a whole checkpoint
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// An error of the operating system's input or output, with its errno; 0: not known.
class IoError : public Error {
 public:
  IoError(ExitCode code, const std::string& message, int number) : Error(code, message), number_(number) {}
  int number() const noexcept { return number_; }
  /// Whether it may be gone when the same is tried again: a network file system's server that restarts, a path that fails over.
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

/// Any exception as what the user is told: of memory that is not to be had, what to do.
Error described(const std::exception& error);

/// A broken promise of our own code; never caused by a user's input.
template <class... Args>
[[nodiscard]] Error internal_error(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ExitCode::internal, format, std::forward<Args>(args)...);
}

}  // namespace trireme
