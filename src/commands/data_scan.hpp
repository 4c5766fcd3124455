// trireme train DECK --dry-run --full: every number of the training and the test data is looked at, as training would.
#pragma once

#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "data/data_set.hpp"
#include "io/io_thread.hpp"

namespace trireme {

/// Reads all rows, each rank a part of them. A data error that says how many faults there are, and names the first ones' rows. Collective. `single`: the run
/// computes in fp32.
void scan_data(const Communicator& comm, const Deck& deck, const DataSet& data, const Shape& input, bool single, IoThread& io);

}  // namespace trireme
