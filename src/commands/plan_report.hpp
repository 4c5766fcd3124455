// Memory by purpose and messages by axis of a deck on a grid. Reads no data and allocates nothing.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/process_grid.hpp"
#include "config/deck.hpp"
#include "train/run_memory.hpp"

namespace trireme {

/// Messages of one rank along one axis in a step.
struct AxisTraffic {
  double messages = 0, bytes = 0;
};

struct PlannedLayerLine {
  int stage = 0;
  std::string name, kind, shape, part, channels, pixels;
  std::int64_t parameters = 0;  // of the whole layer
};

/// Activation checkpointing on one rank (train.recompute).
struct PlannedRecomputation {
  std::size_t segments = 1;        // 1: nothing is recomputed
  std::int64_t without_bytes = 0;  // activations without it
  double share = 0;                // of the multiply-adds of a forward pass that run again
};

struct PlanReport {
  GridShape grid;
  std::int64_t micro_batches = 1, pass_samples = 0, virtual_ranks = 0;
  std::vector<PlannedLayerLine> layers;  // parts: of the first rank of the layer's stage
  std::vector<GridPlace> places;         // at data coordinate 0
  std::vector<RunMemory> memory;         // of these places
  std::vector<PlannedRecomputation> recomputed;
  std::vector<std::map<std::string, AxisTraffic>> traffic;
  std::vector<double> stage_shares;  // fraction of the work in each stage
  double bubble = 0;                 // theoretical fraction of a step that a pipeline stage waits

  /// Plans `deck` on `ranks` ranks. Usage errors name what does not fit.
  PlanReport(const Deck& deck, int ranks);
  std::string text() const;
  nlohmann::json json() const;
  std::int64_t most_memory() const;

 private:
  std::string recomputation_text() const;
};

}  // namespace trireme
