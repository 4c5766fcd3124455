// Permutes the axes of rows from the file's order to another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace trireme::detail {

/// `from` holds rows with these extents, the slowest first; `to` receives them with permuted axes: its k-th axis is axis order[k] of `from`.
void transpose_rows(std::int64_t rows, std::span<const std::int64_t> extents, std::span<const int> order, std::size_t element_bytes, const std::byte* from,
                    std::byte* to);

}  // namespace trireme::detail
