// What a run writes besides checkpoints: the resolved deck, the log, metrics.jsonl, trace.json. Rank 0 writes; others do nothing.
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

#include "base/timer.hpp"
#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "train/event_log.hpp"

namespace trireme {

class RunDirectory {
 public:
  /// Makes the folder, writes deck.ini, opens log.txt and metrics.jsonl (new files with the old content: see RunOwnership). Events of an earlier run after `resume_step` are dropped from
  /// metrics.jsonl (those steps are computed again); -1: a fresh run. `token`: RunOwnership's. Collective; a folder that cannot be written is a checkpoint error.
  RunDirectory(const Communicator& comm, const Deck& deck, const std::filesystem::path& path, std::int64_t resume_step, const std::string& token);

  const std::filesystem::path& path() const { return path_; }
  /// The run goes back to `step`: drops what was recorded after it. Not collective.
  void drop_after(std::int64_t step);
  /// Whether metrics.jsonl holds the end of an epoch at `step`. Collective.
  bool has_epoch(const Communicator& comm, std::int64_t step) const;
  /// Appends one line to metrics.jsonl. Not collective.
  void event(const nlohmann::json& event);

 private:
  std::filesystem::path path_;
  std::string token_;
  EventLog metrics_;
};

/// Where the deck's run writes: run.output, or runs/NAME.
std::filesystem::path run_path(const Deck& deck);

/// Phases of the steps of one rank, for trace.json in Chrome's trace format (chrome://tracing, ui.perfetto.dev).
class Trace {
 public:
  explicit Trace(bool enabled) : enabled_(enabled) {}

  /// Measures from its making to its end, adds to `total` and, when enabled, to the trace.
  class Phase {
   public:
    Phase(Trace& trace, const char* name, double& total) : trace_(trace), name_(name), total_(total), start_(trace.clock_.seconds()) {}
    ~Phase() {
      const double end = trace_.clock_.seconds();
      total_ += end - start_;
      if (trace_.enabled_) trace_.spans_.push_back({name_, start_, end});
    }
    Phase(const Phase&) = delete;
    Phase& operator=(const Phase&) = delete;

   private:
    Trace& trace_;
    const char* name_;
    double& total_;
    double start_;
  };

  /// Gathers all ranks' phases and writes `file` on rank 0. Collective; nothing when not enabled.
  void write(const Communicator& comm, const std::filesystem::path& file, const std::string& token) const;

 private:
  struct Span {
    const char* name;
    double start, end;
  };
  bool enabled_;
  Timer clock_;
  std::vector<Span> spans_;
};

}  // namespace trireme
