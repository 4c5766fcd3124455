// Compares the values of a data set with their checksums (data.verify).
#pragma once

#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "data/data_set.hpp"
#include "io/io_thread.hpp"

namespace trireme {

/// Logs once whether shards have no checksums. If `when` is first_epoch, reads all rows and compares them with the checksums of their data sets; the
/// shards are distributed over the ranks. Throws a data error with shard and data set, the same on all ranks. Collective over `comm`.
void verify_data(const Communicator& comm, IoThread& io, const std::string& when, const std::vector<const DataSet*>& sets);

}  // namespace trireme
