// Which rows the tiles of Winograd's filtering read, with zeros around the source. See winograd.hpp.
#pragma once

#include "kokkos_kernels/detail/conv_layout.hpp"

namespace trireme::detail {

/// A thread's view of a source: pointers to the rows that some rows of tiles of one plane of tiles read.
/// Span: rows and columns that a tile reads, 4 or 2; Planes: the same of planes.
template <class T, int Planes, int Span>
class Gather {
 public:
  Gather(const RowSource<T>& source, const std::array<std::int64_t, 3>& padding, T* scratch)
      : source_(source),
        padding_(padding),
        line_(source.side.extent[2] * source.side.channels),
        zeros_(scratch),
        edge_(zeros_ + padded(line_)),
        window_(edge_ + padded(Planes * Span * Span * source.side.channels)) {
    std::fill_n(zeros_, line_, T{});
  }
  static std::int64_t scratch(const Side& side) {
    const std::int64_t line = side.extent[2] * side.channels;
    return padded(line) + padded(Planes * Span * Span * side.channels) + window_rows(side) * Planes * padded(line);
  }
  /// Rows of tiles that prepare() takes at most.
  static std::int64_t most_rows(const Side& side) { return std::min<std::int64_t>((window_rows(side) - Span) / 2 + 1, rows_limit); }

  /// The rows that tile rows [row, row + rows) of tile plane `plane` of sample s read.
  void prepare(std::int64_t s, std::int64_t plane, std::int64_t row, std::int64_t rows) {
    const auto& extent = source_.side.extent;
    const std::int64_t lines = 2 * (rows - 1) + Span, plane0 = (Planes == 1 ? plane : 2 * plane) - padding_[0], row0 = 2 * row - padding_[1];
    for (std::int64_t d = 0; d < Planes; ++d)
      for (std::int64_t r = 0; r < lines; ++r) {
        const T*& line = lines_[d * line_limit + r];
        if (plane0 + d < 0 || plane0 + d >= extent[0] || row0 + r < 0 || row0 + r >= extent[1]) {
          line = zeros_;
        } else if (!source_.is_pooled()) {
          line = source_.values + (((s * extent[0] + plane0 + d) * extent[1] + row0 + r) * extent[2]) * source_.side.channels;
        } else {
          T* const to = window_ + (d * window_rows(source_.side) + r) * padded(line_);
          line = source_.row(s, plane0 + d, row0 + r, 0, source_.side.channels, to).at;
        }
      }
  }

  /// The tile at `column` of row `row` (counted from prepare's): `Planes` x `Span` pointers to its rows. Pixels lie
  /// the source's channels apart.
  void tile(std::int64_t row, std::int64_t column, const T** rows) {
    const std::int64_t channels = source_.side.channels, first = 2 * column - padding_[2], columns = source_.side.extent[2];
    const bool inside = first >= 0 && first + Span <= columns;
    for (int d = 0; d < Planes; ++d)
      for (int r = 0; r < Span; ++r) {
        const T* const line = lines_[d * line_limit + 2 * row + r];
        const T*& to = rows[d * Span + r];
        if (inside) {
          to = line + first * channels;
          continue;
        }
        T* const copy = edge_ + (d * Span + r) * Span * channels;
        for (int c = 0; c < Span; ++c)
          if (first + c >= 0 && first + c < columns)
            std::copy_n(line + (first + c) * channels, channels, copy + c * channels);
          else
            std::fill_n(copy + c * channels, channels, T{});
        to = copy;
      }
  }

 private:
  static constexpr std::int64_t rows_limit = 32, line_limit = 2 * (rows_limit - 1) + Span;
  static std::int64_t window_rows(const Side& side) {
    constexpr std::int64_t budget = 96 * 1024;  // bytes of rows that a pooled source makes
    const std::int64_t bytes = side.extent[2] * side.channels * Planes * static_cast<std::int64_t>(sizeof(T));
    return std::clamp<std::int64_t>(budget / bytes, Span, line_limit);
  }

  const RowSource<T>& source_;
  std::array<std::int64_t, 3> padding_;
  std::int64_t line_;
  T *zeros_, *edge_, *window_;
  const T* lines_[Planes * line_limit];
};

/// Which tile rows a thread works on: [first, first + count) of all samples' rows.
struct TileRows {
  std::int64_t first, count;
};

/// Calls f(sample, plane, row, rows, tiles before) for runs of tile rows of one plane, at most `most` at a time.
template <class F>
void for_planes(const TileRows& rows, const std::array<std::int64_t, 3>& tiles, std::int64_t most, const F& f) {
  for (std::int64_t at = rows.first; at < rows.first + rows.count;) {
    const std::int64_t row = at % tiles[1], plane = at / tiles[1] % tiles[0], sample = at / tiles[1] / tiles[0];
    const std::int64_t count = std::min({most, tiles[1] - row, rows.first + rows.count - at});
    f(sample, plane, row, count, (at - rows.first) * tiles[2]);
    at += count;
  }
}

/// Calls f(pointers to the tile's rows, number of the tile) for all tiles of some rows.
template <class T, int Planes, int Span, class F>
void for_tiles(const TileRows& rows, const std::array<std::int64_t, 3>& tiles, const RowSource<T>& source, const std::array<std::int64_t, 3>& padding,
               T* scratch, const F& f) {
  Gather<T, Planes, Span> gather(source, padding, scratch);
  for_planes(rows, tiles, gather.most_rows(source.side), [&](std::int64_t s, std::int64_t plane, std::int64_t row, std::int64_t count, std::int64_t tile) {
    gather.prepare(s, plane, row, count);
    const T* at[16];  // at most 4 x 4
    for (std::int64_t r = 0; r < count; ++r)
      for (std::int64_t c = 0; c < tiles[2]; ++c, ++tile) {
        gather.tile(r, c, at);
        f(at, tile);
      }
  });
}

}  // namespace trireme::detail
