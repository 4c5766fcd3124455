#include "base/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <memory>

#include "base/printable.hpp"

namespace trireme::log {

namespace {

/// "%*" in a pattern: the message without control characters.
class PrintableMessage : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& to) override {
    const std::string text = printable({message.payload.data(), message.payload.size()});
    to.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override { return std::make_unique<PrintableMessage>(); }
};

std::unique_ptr<spdlog::formatter> formatter(const std::string& pattern) {
  auto made = std::make_unique<spdlog::pattern_formatter>();
  made->add_flag<PrintableMessage>('*').set_pattern(pattern);
  return made;
}

using Pair = std::array<std::shared_ptr<spdlog::logger>, 2>;  // information, warnings

struct Loggers {
  Pair all, job;  // the current loggers, and those of the whole job: the same unless a task logs
  bool is_speaker = true, speaks_for_job = true;

  Loggers() { open(0); }
  void open(int rank) {
    is_speaker = speaks_for_job = rank == 0;
    all[0] = std::make_shared<spdlog::logger>("trireme", std::make_shared<spdlog::sinks::stdout_sink_mt>());
    all[1] = std::make_shared<spdlog::logger>("trireme", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    all[0]->set_level(is_speaker ? spdlog::level::info : spdlog::level::off);
    all[0]->set_formatter(formatter("%*"));
    all[1]->set_formatter(formatter(is_speaker ? "warning: %*" : "warning: rank " + std::to_string(rank) + ": %*"));
    for (const auto& logger : all) logger->flush_on(spdlog::level::info);
    job = all;
  }
  void begin_task(const std::string& name, bool speaker) {
    is_speaker = speaker;
    all[0] = std::make_shared<spdlog::logger>("trireme", std::make_shared<spdlog::sinks::null_sink_mt>());
    all[1] = std::make_shared<spdlog::logger>("trireme", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    all[0]->set_level(speaker ? spdlog::level::info : spdlog::level::off);
    all[0]->set_formatter(formatter("%*"));
    all[1]->set_formatter(formatter("warning: " + name + ": %*"));
    for (const auto& logger : all) logger->flush_on(spdlog::level::info);
  }
  void end_task() {
    is_speaker = speaks_for_job;
    all = job;
  }
};

Loggers& loggers() {
  static Loggers instance;
  return instance;
}

}  // namespace

namespace detail {
spdlog::logger& information() { return *loggers().all[0]; }
spdlog::logger& warnings() { return *loggers().all[1]; }
spdlog::logger& job() { return *loggers().job[0]; }
}  // namespace detail

void open(int rank) { loggers().open(rank); }

void also_to(const std::filesystem::path& file) {
  if (!loggers().is_speaker) return;
  const auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
  sink->set_formatter(formatter("%Y-%m-%d %H:%M:%S  %*"));
  for (const auto& logger : loggers().all) {
    auto& sinks = logger->sinks();
    if (sinks.size() > 1) sinks.resize(1);
    sinks.push_back(sink);
  }
}

TaskLogScope::TaskLogScope(const std::string& name, bool speaker) { loggers().begin_task(name, speaker); }
TaskLogScope::~TaskLogScope() { loggers().end_task(); }

}  // namespace trireme::log
