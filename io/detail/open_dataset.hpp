// Opens a dataset of a shard, with errors that say what the file holds instead.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/h5.hpp"

namespace trireme::detail {

/// Opens the data set `name`, or throws an error that lists the data sets of the file. `key`: of the deck, for the hint.
h5::Dataset open_data_set(const h5::File& file, const std::string& path, const std::string& name, const std::string& key);

/// Throws if a filter of the data set is missing: at the start, before a job has trained for an hour.
void check_filters(const h5::Dataset& dataset, const std::string& path, const std::string& name);

/// Access properties with a chunk cache for reads along extent `along` of ascending indices: it holds all chunks across the other extents, up to a limit.
h5::Properties row_access(const h5::Dataset& dataset, const std::vector<std::int64_t>& extents, std::size_t along, const std::string& context);

}  // namespace trireme::detail
