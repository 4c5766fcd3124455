// trireme train DECK --dry-run --full: checks every number of the training and test data as training would.
#pragma once

#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "data/data_set.hpp"
#include "io/io_thread.hpp"

namespace trireme {

/// Reads all rows; each rank reads a part of them. If there are faults, throws a data error with their number and the first faulty rows. `single`: the run
/// computes in fp32. Collective.
void scan_data(const Communicator& comm, const Deck& deck, const DataSet& data, const Shape& input, bool single, IoThread& io);

}  // namespace trireme
