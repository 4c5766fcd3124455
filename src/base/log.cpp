#include "base/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <memory>
#include <vector>

namespace trireme::log {

namespace {
bool is_speaker = true;
}

void open(int rank) {
  is_speaker = rank == 0;
  auto sink = std::make_shared<spdlog::sinks::stdout_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>("trireme", sink);
  logger->set_level(rank == 0 ? spdlog::level::info : spdlog::level::warn);
  logger->flush_on(spdlog::level::info);
  logger->set_pattern(rank == 0 ? "%v" : "rank " + std::to_string(rank) + ": %v");
  spdlog::set_default_logger(std::move(logger));
}

void also_to(const std::filesystem::path& file) {
  if (!is_speaker) return;
  auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
  sink->set_pattern("%Y-%m-%d %H:%M:%S  %v");
  auto& sinks = spdlog::default_logger()->sinks();
  if (sinks.size() > 1) sinks.resize(1);
  sinks.push_back(std::move(sink));
}

}  // namespace trireme::log
