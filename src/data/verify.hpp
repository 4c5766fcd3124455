// Whether the values of a data set are those that were written: the deck's data.verify.
#pragma once

#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "data/data_set.hpp"
#include "io/io_thread.hpp"

namespace trireme {

/// Says once whether shards lack checksums. Where `when` is first_epoch, all rows are read and compared with their data sets' checksums: each rank reads the
/// shards that are dealt to it. Throws a data error that names shard and data set, the same on all ranks. Collective over `comm`.
void verify_data(const Communicator& comm, IoThread& io, const std::string& when, const std::vector<const DataSet*>& sets);

}  // namespace trireme
