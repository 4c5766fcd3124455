// Fine-tuning: a new run begins with the parameters and buffers of another run's checkpoint that fit its network by name (model.weights).
//
// The optimizer's state, the step and everything else of that run are not read. Any grid, precision, optimizer and data set may differ.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "network/network.hpp"

namespace trireme {

/// What was loaded. Names are those of this network, except in `unused`.
struct WeightsReport {
  std::string file;
  std::int64_t step = 0;                              // of the checkpoint
  bool averaged = false;                              // the moving averages (train.ema) were taken instead of the parameters
  std::int64_t numbers = 0, of_numbers = 0;           // loaded, and of the whole network
  std::vector<std::string> loaded = {}, absent = {};  // absent: the file has no such array
  std::vector<std::string> skipped = {};              // by model.weights_skip
  std::vector<std::string> other_shapes = {};         // "head.weight (10, 64) -> (5, 64)", with model.weights_shapes = skip
  std::vector<std::string> unused = {};               // names in the file that this network does not have
  std::vector<std::string> notes = {};                // warnings

  /// Lines for the log.
  std::vector<std::string> lines() const;
  nlohmann::json json() const;
};

/// Replaces the initial values of the arrays of `network` that the deck's model.weights has. Collective over `comm`, the ranks of the run. Throws checkpoint
/// errors if there is no intact checkpoint; usage errors if nothing fits, a pattern matches nothing, or shapes differ.
template <class T>
WeightsReport load_initial_weights(const Deck& deck, const Communicator& comm, Network<T>& network);

}  // namespace trireme
