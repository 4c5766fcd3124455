// Messages for people. Rank 0 speaks for the job; other ranks only warn. Not collective.
#pragma once

#include <spdlog/spdlog.h>

#include <filesystem>
#include <string>

namespace trireme::log {

/// Called once, after MPI is up. Information goes to standard output as it is, warnings to standard error: what a command
/// prints for a program to read stays clean.
void open(int rank);
/// From now on messages of rank 0 also go to `file` (appended), with the time of day. No-op on other ranks.
void also_to(const std::filesystem::path& file);

/// While it lives this process works on a task of a job of many: info() goes to the file that also_to() names, and no more to standard output; warn()
/// says the task's name. `speaker`: whether this rank speaks for the task. job() still speaks for the whole.
class TaskVoice {
 public:
  TaskVoice(const std::string& name, bool speaker);
  ~TaskVoice();
  TaskVoice(const TaskVoice&) = delete;
  TaskVoice& operator=(const TaskVoice&) = delete;
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
/// info() of the whole job, also while a TaskVoice lives, and from any thread.
template <class... Args>
void job(fmt::format_string<Args...> format, Args&&... args) {
  detail::job().info(format, std::forward<Args>(args)...);
}

}  // namespace trireme::log
