// Definitions shared by the writer and the reader of checkpoints: names in the file, rows and their checksum.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/shape.hpp"

namespace trireme::detail {

inline constexpr const char* checkpoint_program = "trireme";
inline constexpr const char* checksum_attribute = "checksum";
inline constexpr const char* version_attribute = "format_version";
inline constexpr const char* program_attribute = "program";
inline constexpr const char* count_attribute = "arrays";  // number of arrays, so that a damaged group cannot hide one

/// Bytes that are hashed and read or written at a time; small enough to stay in the cache in between.
inline constexpr std::int64_t piece_bytes = std::int64_t{8} << 20;

/// An array as rows along dimension 0; an array of rank 0 is one row.
struct Rows {
  Rows(const Shape& shape, bool is_double);
  std::int64_t count;
  std::int64_t bytes;      // per row
  std::int64_t per_piece;  // at least 1
};

/// Sum over rows i in [first, first + count) of XXH3-64(row i; seed i), modulo 2^64. `data` points at row `first`.
std::uint64_t checksum(const std::byte* data, std::int64_t first, std::int64_t count, std::int64_t row_bytes);

}  // namespace trireme::detail
