// Log messages. Rank 0 logs for the job; other ranks only warn. Not collective.
#pragma once

#include <spdlog/spdlog.h>

#include <filesystem>
#include <string>

namespace trireme::log {

/// Call it once, after MPI is initialized. Information goes to standard output without a prefix, warnings go to standard error, so that output for
/// programs stays clean.
void open(int rank);
/// Appends all further messages of rank 0 also to `file`, with date and time. No-op on other ranks.
void also_to(const std::filesystem::path& file);

/// During its lifetime this process logs for one task of a job of several tasks: info() goes to the file of also_to() and not to standard output;
/// warn() adds the name of the task. `speaker`: whether this rank logs for the task. job() still logs for the whole job.
class TaskLogScope {
 public:
  TaskLogScope(const std::string& name, bool speaker);
  ~TaskLogScope();
  TaskLogScope(const TaskLogScope&) = delete;
  TaskLogScope& operator=(const TaskLogScope&) = delete;
};

namespace detail {
spdlog::logger& information();
spdlog::logger& warnings();
spdlog::logger& job();
}  // namespace detail

template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  detail::information().info(format, std::forward<Args>(args)...);
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  detail::warnings().warn(format, std::forward<Args>(args)...);
}
/// info() for the whole job, also during the lifetime of a TaskLogScope, and from any thread.
template <class... Args>
void job(fmt::format_string<Args...> format, Args&&... args) {
  detail::job().info(format, std::forward<Args>(args)...);
}

}  // namespace trireme::log
