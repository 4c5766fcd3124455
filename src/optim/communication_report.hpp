// What each axis of parallelism sends in a step, and how much of the time that takes is not hidden behind compute.
#pragma once

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace trireme {

/// One kind of communication of one axis. Figures are a step's, of one rank.
struct CommunicationLine {
  std::string axis{}, what{};  // "data", "all-reduce"
  double messages = 0;       // operations that a rank begins
  double bytes = 0;          // that a rank sends, by the formula of the operation
  double alone_s = -1;       // what the same takes with nothing beside it, measured at start-up; -1: not known
  double exposed_s = 0;      // that compute waited for it: of the rank that came last to it, step by step, so that nobody waits for a rank that computes
  double waited_s = 0;       // that this rank waited, for the others too

  /// Share of `alone_s` that was hidden, 0 to 1: 1 - exposed/alone, 0 where ranks waited longer (for each other). -1: not known.
  double hidden() const { return alone_s > 0 ? std::max(0.0, 1 - exposed_s / alone_s) : -1; }
};

class CommunicationReport {
 public:
  void add(CommunicationLine line) { lines_.push_back(std::move(line)); }
  const std::vector<CommunicationLine>& lines() const { return lines_; }
  bool empty() const { return lines_.empty(); }
  /// "reduce over data: all-reduce, 5 messages, 1.0 MiB a step; alone 0.9 ms, exposed 0.2 ms, hidden 78 %": a line each, for people.
  std::string text() const;
  /// A list of objects with the members' names and "hidden".
  nlohmann::json json() const;

 private:
  std::vector<CommunicationLine> lines_;
};

}  // namespace trireme
