// Rows from a file's order of axes to another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace trireme::detail {

/// `from` holds rows of these extents, the slowest first; `to` gets them with the axes in the order `order`: its k-th axis is axis order[k] of `from`.
void transpose_rows(std::int64_t rows, std::span<const std::int64_t> extents, std::span<const int> order, std::size_t element_bytes, const std::byte* from,
                    std::byte* to);

}  // namespace trireme::detail
