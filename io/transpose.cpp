#include "io/detail/transpose.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/shape.hpp"

namespace trireme::detail {

namespace {

struct Axis {
  std::int64_t extent, from, to;  // strides in elements
};

constexpr std::int64_t tile = 64;  // edge length in elements: both sides of a tile fit in the first-level cache

template <std::size_t Bytes>
void copy_tiled(const Axis& outer, const Axis& inner, const std::byte* from, std::byte* to) {
  for (std::int64_t i0 = 0; i0 < outer.extent; i0 += tile)
    for (std::int64_t j0 = 0; j0 < inner.extent; j0 += tile)
      for (std::int64_t i = i0; i < std::min(outer.extent, i0 + tile); ++i)
        for (std::int64_t j = j0; j < std::min(inner.extent, j0 + tile); ++j)
          std::memcpy(to + static_cast<std::size_t>(i * outer.to + j * inner.to) * Bytes,
                      from + static_cast<std::size_t>(i * outer.from + j * inner.from) * Bytes, Bytes);
}

/// Iterates over all but the last two axes.
template <std::size_t Bytes>
void copy(std::span<const Axis> axes, const std::byte* from, std::byte* to) {
  if (axes.size() == 2) return copy_tiled<Bytes>(axes[0], axes[1], from, to);
  for (std::int64_t i = 0; i < axes[0].extent; ++i)
    copy<Bytes>(axes.subspan(1), from + static_cast<std::size_t>(i * axes[0].from) * Bytes, to + static_cast<std::size_t>(i * axes[0].to) * Bytes);
}

}  // namespace

void transpose_rows(std::int64_t rows, std::span<const std::int64_t> extents, std::span<const int> order, std::size_t element_bytes, const std::byte* from,
                    std::byte* to) {
  std::vector<std::int64_t> stride(extents.size(), 1);
  for (std::size_t k = extents.size(); k-- > 1;) stride[k - 1] = stride[k] * extents[k];
  // Axes that stay adjacent in the same order are merged.
  std::int64_t row = 1;
  for (const std::int64_t extent : extents) row *= extent;
  std::array<Axis, Shape::max_rank + 2> list{};
  std::size_t count = 0;
  list[count++] = {rows, row, row};
  for (const int k : order) {
    const auto at = static_cast<std::size_t>(k);
    if (extents[at] == 1) continue;
    if (count > 1 && list[count - 1].from == extents[at] * stride[at])
      list[count - 1] = {list[count - 1].extent * extents[at], stride[at], 0};
    else
      list[count++] = {extents[at], stride[at], 0};
  }
  std::int64_t to_stride = 1;
  for (std::size_t k = count; k-- > 1; to_stride *= list[k].extent) list[k].to = to_stride;
  if (count == 1) list[count++] = {1, 1, 1};
  const auto axes = std::span(list).first(count);
  // The fastest axis of the file is placed next to the fastest axis in memory, so that tiles contain both.
  const auto fastest = std::min_element(axes.begin() + 1, axes.end() - 1, [](const Axis& a, const Axis& b) { return a.from < b.from; });
  if (fastest != axes.end() - 1) std::rotate(fastest, fastest + 1, axes.end() - 1);
  switch (element_bytes) {
    case 1:
      return copy<1>(axes, from, to);
    case 2:
      return copy<2>(axes, from, to);
    case 4:
      return copy<4>(axes, from, to);
    default:
      return copy<8>(axes, from, to);
  }
}

}  // namespace trireme::detail
