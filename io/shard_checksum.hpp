// Checksum of a shard's data set: the sum over its rows of XXH3-64, with the row number as seed, modulo 2^64, of the stored elements in their type in
// memory. It is an attribute of the data set. Because it is a sum over rows, any distribution over writers or readers can compute it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "io/shard.hpp"

namespace trireme {

inline constexpr const char* shard_checksum_attribute = "trireme_checksum";

/// Checksum of rows [first, first + count); `rows` points to their data.
std::uint64_t checksum_of_rows(const std::byte* rows, std::int64_t first, std::int64_t count, std::int64_t row_bytes);

/// The stored checksum of the data set `name`; empty if it has none. A data error if the attribute is not a single 64-bit number.
std::optional<std::uint64_t> stored_checksum(hid_t file, const std::string& path, const std::string& name);
/// Throws a data error that names the data set if `found` differs from `expected`.
void require_checksum(const std::string& path, const std::string& name, std::uint64_t expected, std::uint64_t found);

/// Reads all rows of the data sets with checksums and verifies them. Calls `after_block` between reads.
void verify_shard(const std::string& path, const ShardNames& names, const std::function<void()>& after_block = {});

}  // namespace trireme
