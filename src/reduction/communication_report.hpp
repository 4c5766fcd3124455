// Communication of each axis of parallelism in a step: messages, bytes, and the time that computation does not hide.
#pragma once

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "comm/process_grid.hpp"

namespace trireme {

/// One kind of communication of one axis. All values are per step.
struct CommunicationLine {
  std::string axis{}, what{};               // "data", "all-reduce"
  double messages = 0;                      // operations that a rank starts
  double bytes = 0;                         // sent by a rank, from the formula of the operation
  double alone_s = -1;                      // duration without concurrent computation, measured at startup; -1: unknown
  double under_way_s = -1;                  // time with an operation in flight to a rank, as far as the rank can see; -1: unknown
  double exposed_s = 0;                     // wait of the rank that waited least, for each step, so waits for ranks that still compute do not count
  double waited_s = 0;                      // wait of a rank, including waits for other ranks
  std::vector<double> waited_by_place_s{};  // the same by coordinate on the axis, mean over the ranks there; empty: unknown

  /// Hidden fraction, 0 to 1; -1: unknown. With `alone_s`: the part of it that was not exposed, 0 if ranks waited longer (for each other). Otherwise
  /// the part of `under_way_s` without waits, which is an upper bound, because the completion of a message is seen only when MPI is asked.
  double hidden() const { return alone_s > 0 ? std::max(0.0, 1 - exposed_s / alone_s) : under_way_s > 0 ? std::max(0.0, 1 - waited_s / under_way_s) : -1; }
};

/// Pipeline bubble: time that stages wait for each other, measured and in theory.
struct PipelineBubble {
  double theory = 0;    // (p - 1)/(m + p - 1), fraction of a step
  double measured = 0;  // mean wait over the stages, fraction of a step
  std::vector<double> by_stage{};
};

class CommunicationReport {
 public:
  void add(CommunicationLine line) { lines_.push_back(std::move(line)); }
  /// Adds one line for each communicator of the grid that was used. Messages, bytes and times are means over the ranks. `step_s`: seconds per step;
  /// `bubble`: theoretical bubble, see ParallelPlan. Collective over the grid.
  void add_axes(const ProcessGrid& grid, double step_s, double bubble);
  const std::vector<CommunicationLine>& lines() const { return lines_; }
  /// Only with several stages.
  const std::optional<PipelineBubble>& bubble() const { return bubble_; }
  bool empty() const { return lines_.empty(); }
  /// For the log, one line per kind: "reduce over data: all-reduce, 5 messages, 1.0 MiB per step; alone 0.9 ms, exposed 0.2 ms, hidden 78 %".
  std::string text() const;
  /// A list of objects with the names of the members and "hidden"; unknown values are omitted.
  nlohmann::json json() const;

 private:
  std::vector<CommunicationLine> lines_;
  std::optional<PipelineBubble> bubble_;
};

}  // namespace trireme
