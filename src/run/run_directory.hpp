// Output of a run besides checkpoints: the resolved deck, the log, metrics.jsonl, trace.json. Only rank 0 writes.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/timer.hpp"
#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "run/event_log.hpp"

namespace trireme {

class RunDirectory {
 public:
  /// Creates the folder, writes deck.ini, and opens log.txt and metrics.jsonl (new files with the old content: see RunOwnership). Events of an
  /// earlier run after `resume_step` are removed from metrics.jsonl, because these steps are computed again; -1: a new run. `token`: of RunOwnership.
  /// Collective. An unwritable folder is a checkpoint error.
  RunDirectory(const Communicator& comm, const Deck& deck, const std::filesystem::path& path, std::int64_t resume_step, const std::string& token);

  const std::filesystem::path& path() const { return path_; }
  /// The run rolls back to `step`: removes later records. Not collective.
  void drop_after(std::int64_t step);
  /// The first event of this kind at `step` in metrics.jsonl; null: there is none. Collective.
  nlohmann::json find_event(const Communicator& comm, const std::string& kind, std::int64_t step) const;
  /// Seconds of training before this start, over all starts whose work was not lost, as metrics.jsonl holds them (rank 0).
  double earlier_seconds() const { return earlier_seconds_; }
  /// Appends one line to metrics.jsonl. Not collective.
  void event(const nlohmann::json& event);

 private:
  std::filesystem::path path_;
  std::string token_;
  EventLog metrics_;
  double earlier_seconds_ = 0;
};

/// The output folder of the deck's run: run.output, or runs/NAME.
std::filesystem::path run_path(const Deck& deck);

/// Phases of the steps of one rank, for trace.json in Chrome's trace format (chrome://tracing, ui.perfetto.dev).
class Trace {
 public:
  explicit Trace(bool enabled) : enabled_(enabled) {}

  /// Measures from construction to destruction, adds the seconds to `total` and, if enabled, to the trace.
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

  /// Gathers the phases of all ranks and writes `file` on rank 0. Collective; does nothing if not enabled.
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
