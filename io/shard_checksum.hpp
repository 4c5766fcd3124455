// The checksum of a shard's data set: the sum over its rows of XXH3-64 seeded with the row number, modulo 2^64, of the elements as they
// are stored, in the type that memory has for them. It stands in an attribute beside the data set. Any split of the rows over writers or readers makes it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "io/shard.hpp"

namespace trireme {

inline constexpr const char* shard_checksum_attribute = "trireme_checksum";

/// Of rows [first, first + count), which `rows` points at.
std::uint64_t checksum_of_rows(const std::byte* rows, std::int64_t first, std::int64_t count, std::int64_t row_bytes);

/// What stands beside the data set `name`; nothing where it has no checksum. A data error where the attribute is something else than one 64-bit number.
std::optional<std::uint64_t> stored_checksum(hid_t file, const std::string& path, const std::string& name);
/// A data error that names the data set where `found` is not `expected`.
void require_checksum(const std::string& path, const std::string& name, std::uint64_t expected, std::uint64_t found);

/// Reads all rows of the data sets that have checksums, and compares. `after_block` is called between reads.
void verify_shard(const std::string& path, const ShardNames& names, const std::function<void()>& after_block = {});

}  // namespace trireme
