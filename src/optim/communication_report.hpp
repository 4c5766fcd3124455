// What each axis of parallelism sends in a step, and how much of the time that takes is not hidden behind compute.
#pragma once

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/process_grid.hpp"

namespace trireme {

/// One kind of communication of one axis. Figures are a step's.
struct CommunicationLine {
  std::string axis{}, what{};  // "data", "all-reduce"
  double messages = 0;       // operations that a rank begins
  double bytes = 0;          // that a rank sends, by the formula of the operation
  double alone_s = -1;       // what the same takes with nothing beside it, measured at start-up; -1: not known
  double under_way_s = -1;   // in which something was on its way to a rank, as far as it can see; -1: not known
  double exposed_s = 0;      // that compute waited for it: of the rank that waited least, step by step, so that nobody waits for a rank that computes
  double waited_s = 0;       // that a rank waited, for the others too
  std::vector<double> waited_by_place_s{};  // the same by the place on the axis, mean of the ranks there; empty: not known

  /// Share that was hidden, 0 to 1; -1: not known. Of `alone_s` what was not exposed, 0 where ranks waited longer (for each other); else of
  /// `under_way_s` what was not waited for, which is the most that can be: when a message came is seen only when it is asked for.
  double hidden() const { return alone_s > 0 ? std::max(0.0, 1 - exposed_s / alone_s) : under_way_s > 0 ? std::max(0.0, 1 - waited_s / under_way_s) : -1; }
};

/// Of a pipeline: how long stages wait for each other, against what even stages must.
struct PipelineBubble {
  double theory = 0;                  // (p - 1)/(m + p - 1) of a step
  double measured = 0;                // mean over the stages of what they waited, of a step
  std::vector<double> by_stage{};
};

class CommunicationReport {
 public:
  void add(CommunicationLine line) { lines_.push_back(std::move(line)); }
  /// What the communicators of a grid have counted in their steps: a line for each that was used. Messages, bytes and times are means over the ranks.
  /// `step_s`: seconds of a step; `bubble`: the theory, see ParallelPlan. Collective over the grid.
  void add_axes(const ProcessGrid& grid, double step_s, double bubble);
  const std::vector<CommunicationLine>& lines() const { return lines_; }
  /// Where there are several stages.
  const std::optional<PipelineBubble>& bubble() const { return bubble_; }
  bool empty() const { return lines_.empty(); }
  /// "reduce over data: all-reduce, 5 messages, 1.0 MiB a step; alone 0.9 ms, exposed 0.2 ms, hidden 78 %": a line each, for people.
  std::string text() const;
  /// A list of objects with the members' names and "hidden"; figures that are not known are left out.
  nlohmann::json json() const;

 private:
  std::vector<CommunicationLine> lines_;
  std::optional<PipelineBubble> bubble_;
};

}  // namespace trireme
