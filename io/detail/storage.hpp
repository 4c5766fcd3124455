// Whether what a data set is said to hold is in the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/h5.hpp"
#include "io/shard.hpp"

namespace trireme::detail {

/// A data error, with the rows, where a part of a data set would be read as fill values because it was never written, its virtual source is missing, or its
/// external file is short, unless `rules` allow it; and where reading would follow it to where it should not: a FIFO, a virtual set that is its own source,
/// external raw storage outside the file's folder. `what`: "shard 'a.h5': data set '/x'". Opens the files that a virtual set names. Before H5Dget_space:
/// that opens sources itself.
void check_storage(const h5::Dataset& dataset, const std::string& what, const ShardNames& rules);

/// Bytes of a data set of these extents; a data error where they are more than any file has: a product that does not fit 64 bits is another number.
std::int64_t bytes_of(const std::vector<std::int64_t>& extents, std::size_t element_bytes, const std::string& what);

/// "shard 'a.h5': data set '/x'"
std::string what_of(const std::string& path, const std::string& name);

}  // namespace trireme::detail
