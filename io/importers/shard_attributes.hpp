// Numbers of a whole data set, stored as attributes of each of its shards.
#pragma once

#include <filesystem>
#include <vector>

#include "io/importers/sample_source.hpp"

namespace trireme {

/// Adds `attributes` to the data sets of a finished shard that is not being read, and flushes it to disk.
void write_attributes(const std::filesystem::path& shard, const ShardNames& names, const std::vector<SourceAttribute>& attributes);

}  // namespace trireme
