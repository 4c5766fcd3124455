// What a deck's plan on a grid costs: memory by what it holds, messages by axis. No data is read and nothing is allocated.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "comm/process_grid.hpp"
#include "config/deck.hpp"
#include "train/run_memory.hpp"

namespace trireme {

/// What one rank sends along one axis in a step.
struct AxisTraffic {
  double messages = 0, bytes = 0;
};

struct PlannedLayerLine {
  int stage = 0;
  std::string name, kind, shape, part, channels, pixels;
  std::int64_t parameters = 0;  // of the whole layer
};

struct PlanReport {
  GridShape grid;
  std::int64_t micro_batches = 1, pass_samples = 0, lanes = 0;
  std::vector<PlannedLayerLine> layers;     // parts: of the first rank of the layer's stage
  std::vector<GridPlace> places;            // of the first data coordinate
  std::vector<RunMemory> memory;           // of these
  std::vector<std::map<std::string, AxisTraffic>> traffic;
  std::vector<double> stage_shares;         // of the work
  double bubble = 0;                        // share of a step that a stage of the pipeline waits, in theory

  /// `deck` on `ranks` ranks. Usage errors say what does not fit.
  PlanReport(const Deck& deck, int ranks);
  std::string text() const;
  nlohmann::json json() const;
  std::int64_t most_memory() const;
};

}  // namespace trireme
