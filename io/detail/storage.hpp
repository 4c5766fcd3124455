// Checks that the data of a data set are really in the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/h5.hpp"
#include "io/shard.hpp"

namespace trireme::detail {

/// Throws a data error with the rows if a part of a data set would be read as fill values, because it was never written, its virtual source is
/// missing, or its external file is too short; unless `rules` allow this. Also throws if a read would access a FIFO, a virtual data set that is its
/// own source, or external raw storage outside the file's folder. `what`: "shard 'a.h5': data set '/x'". Opens the files of virtual data sets. Call
/// it before H5Dget_space, which opens sources itself. Returns a description of the other files that hold the data, with the rows of each, for comparison:
/// it names folders only relative to each other. Empty: the data are in one file.
std::string check_storage(const h5::Dataset& dataset, const std::string& what, const ShardNames& rules);

/// Bytes of a data set with these extents; a data error if they exceed any file size, so that products do not overflow.
std::int64_t bytes_of(const std::vector<std::int64_t>& extents, std::size_t element_bytes, const std::string& what);

/// "shard 'a.h5': data set '/x'"
std::string what_of(const std::string& path, const std::string& name);

}  // namespace trireme::detail
