// How the host's convolution kernels see the rows that they read: where those lie, or copied into a window of a thread's own with zeros
// around, channels last or planar.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "kokkos_kernels/detail/conv_taps.hpp"
#include "kokkos_kernels/detail/simd.hpp"

namespace trireme::detail {

inline std::int64_t padded(std::int64_t elements) { return (elements + 15) / 16 * 16; }

/// How `channels` destination channels of one group are cut into blocks of one or two registers.
template <class T>
struct ChannelBlocks {
  static constexpr std::int64_t width = Simd<T>::width;
  std::int64_t channels;

  std::int64_t count() const { return (channels + 2 * width - 1) / (2 * width); }
  std::int64_t first(std::int64_t block) const { return block * 2 * width; }
  std::int64_t used(std::int64_t block) const { return std::min(2 * width, channels - first(block)); }
  int registers(std::int64_t block) const { return used(block) > width ? 2 : 1; }
  /// Lanes of all blocks before `block`; lanes(count()) is the padded number of channels.
  std::int64_t lanes(std::int64_t block) const {
    const std::int64_t full = std::min(first(block), channels);
    return (full + width - 1) / width * width;
  }
};

/// Most destination channels of a group for which registers hold pixels instead of channels: they would fill half a register at most.
template <class T>
inline constexpr std::int64_t planar_limit = Simd<T>::width / 2;

/// An activation: extents and channels.
struct Side {
  std::array<std::int64_t, 3> extent;
  std::int64_t channels;
  std::int64_t pixels() const { return extent[0] * extent[1] * extent[2]; }
};

/// Consecutive taps of one kernel row whose channels lie one after the other in memory: `length` source elements from `offset`, which
/// counts from the first column that the phase reads.
struct TapRun {
  std::int64_t offset, length;
};

/// What the kernels know of a phase before they run.
struct HostPhase {
  TapPhase phase;
  std::array<std::int64_t, 3> stride;
  std::int64_t rows = 1;                                              // destination rows handled together
  bool planar = false;                                                // the window holds one plane of columns and rows for each channel
  bool copies = false;                                                // the kernels read a copy of the rows with zeros around, not the source itself
  bool zero_rows = false;                                             // the copy has zeros for rows outside the source too; else such rows are never read
  std::int64_t window = 0;                                            // elements of the copy
  std::int64_t row_stride = 0, plane_stride = 0, channel_stride = 1;  // elements as the kernels see them
  std::vector<std::int64_t> plane_offsets, row_offsets;               // elements, per kernel plane and kernel row
  std::vector<TapRun> runs;                                           // of one kernel row; channels last only
};

/// What a pass wants of prepare().
struct PhaseOptions {
  std::int64_t channels = 1, groups = 1;
  std::size_t element = 4;  // bytes
  bool planar = false;
  bool always_copies = false;  // the source is not in memory as the kernels want it
  bool zero_rows = false;
  std::int64_t row_multiple = 1;  // of `rows`
  std::int64_t most_rows = std::int64_t{1} << 40;
};

inline HostPhase prepare(TapPhase phase, const std::array<std::int64_t, 3>& stride, const std::array<std::int64_t, 3>& source, const PhaseOptions& options) {
  constexpr std::int64_t budget = 96 * 1024;  // bytes of source rows that shall stay near
  HostPhase h;
  h.stride = stride;
  h.planar = options.planar;
  h.zero_rows = options.zero_rows || options.planar;
  h.copies = options.always_copies || options.planar;
  std::array<std::int64_t, 3> extent{};
  for (std::size_t a = 0; a < 3; ++a) {
    extent[a] = (phase.count[a] - 1) * stride[a] + phase.high[a] - phase.low[a] + 1;
    if (a == 2 || h.zero_rows) h.copies = h.copies || phase.low[a] < 0 || phase.low[a] + extent[a] > source[a];
  }
  const std::int64_t planes = phase.high[0] - phase.low[0] + 1, reach = phase.high[1] - phase.low[1];
  const std::int64_t line = extent[2] * options.channels;
  const std::int64_t lines = budget / (line * planes * static_cast<std::int64_t>(options.element)) - reach;
  const std::int64_t most = std::max<std::int64_t>(std::min(phase.count[1], options.most_rows), 1);
  h.rows = std::max(std::clamp<std::int64_t>(lines / stride[1], 1, most) / options.row_multiple, std::int64_t{1}) * options.row_multiple;
  const std::int64_t window_lines = (h.rows - 1) * stride[1] + reach + 1;
  if (h.planar) {
    h.row_stride = extent[2];
    h.plane_stride = window_lines * h.row_stride;
    h.channel_stride = planes * h.plane_stride;
    h.window = padded(options.channels * h.channel_stride + static_cast<std::int64_t>(simd_bytes / options.element));  // the last load may reach over
  } else {
    h.row_stride = (h.copies ? extent[2] : source[2]) * options.channels;
    h.plane_stride = (h.copies ? window_lines : source[1]) * h.row_stride;
    h.window = h.copies ? padded(planes * h.plane_stride) : 0;
  }
  for (const std::int64_t offset : phase.offsets[0]) h.plane_offsets.push_back(offset * h.plane_stride);
  for (const std::int64_t offset : phase.offsets[1]) h.row_offsets.push_back(offset * h.row_stride);
  const std::int64_t from = options.channels / options.groups;
  for (const std::int64_t offset : phase.offsets[2]) {
    if (h.planar) break;
    const std::int64_t at = (offset - phase.low[2]) * options.channels;
    if (options.groups == 1 && !h.runs.empty() && h.runs.back().offset + h.runs.back().length == at)
      h.runs.back().length += from;
    else
      h.runs.push_back({at, from});
  }
  h.phase = std::move(phase);
  return h;
}

struct Interval {
  std::int64_t first, last;
};

/// Taps of one dimension that read inside the source when the destination is at `at` (already multiplied by the pace).
inline Interval inside(const std::vector<std::int64_t>& offsets, std::int64_t at, std::int64_t extent) {
  Interval i{0, static_cast<std::int64_t>(offsets.size())};
  const auto out = [&](std::int64_t k) {
    const std::int64_t source = at + offsets[static_cast<std::size_t>(k)];
    return source < 0 || source >= extent;
  };
  while (i.first < i.last && out(i.first)) ++i.first;
  while (i.first < i.last && out(i.last - 1)) --i.last;
  return i;
}

/// One row of an activation, some of its channels: pixel p, channel c at at[p * pixel + c].
template <class T>
struct RowView {
  const T* at;
  std::int64_t pixel;
};

/// `count` pixels of C channels to planes of single channels.
template <class T, int C>
void split_channels(const T* __restrict from, std::int64_t count, T* __restrict to, std::int64_t channel_stride) {
  for (std::int64_t p = 0; p < count; ++p)
    for (int c = 0; c < C; ++c) to[c * channel_stride + p] = from[p * C + c];
}

template <class T>
void split_channels(const T* __restrict from, std::int64_t pixel, std::int64_t count, std::int64_t channels, T* __restrict to, std::int64_t channel_stride) {
  if (pixel == channels && channels <= 4) {
    if (channels == 1) return static_cast<void>(std::copy_n(from, count, to));
    if (channels == 2) return split_channels<T, 2>(from, count, to, channel_stride);
    if (channels == 3) return split_channels<T, 3>(from, count, to, channel_stride);
    return split_channels<T, 4>(from, count, to, channel_stride);
  }
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t p = 0; p < count; ++p) to[c * channel_stride + p] = from[p * pixel + c];
}

/// The rows that a pass reads: of an activation in memory, or of the gradient of what a pooling tail took in, made row by row from the
/// gradient of what it gave, which is `Epilogue::places()` times smaller.
template <class T>
struct RowSource {
  Side side;
  const T* values;                      // the activation; pooled: the gradient of the tail's result
  const std::uint8_t* index = nullptr;  // pooled: the places that won
  const T* result = nullptr;            // pooled, with a slope: the tail's result
  T slope{1};
  std::array<std::int64_t, 3> window{1, 1, 1}, pooled{0, 0, 0};

  bool is_pooled() const { return index != nullptr; }

  /// Channels [first, first + count) of row r in plane d of sample s. What is not in memory is made in `made` (columns * count elements).
  RowView<T> row(std::int64_t s, std::int64_t d, std::int64_t r, std::int64_t first, std::int64_t count, T* made) const {
    if (!is_pooled()) return {at(s, d, r) + first, side.channels};
    const PooledRow from = pooled_row(s, d, r);
    T* to = made;
    for (std::int64_t p = 0; p < from.pixels; ++p, to += window[2] * count) lead_back(from.at + p * side.channels + first, count, from.place, to);
    std::fill_n(to, (side.extent[2] - from.pixels * window[2]) * count, T{});
    return {made, count};
  }

  /// Columns [first, first + count) of all channels of rows [r, r + rows), channel c of row r + i at to[i * row_stride + c * channel_stride].
  /// `made`: room for two rows.
  void planes(std::int64_t s, std::int64_t d, std::int64_t r, std::int64_t rows, std::int64_t first, std::int64_t count, T* to, std::int64_t row_stride,
              std::int64_t channel_stride, T* made) const {
    if (!is_pooled()) {
      for (std::int64_t i = 0; i < rows; ++i)
        split_channels(at(s, d, r + i) + first * side.channels, side.channels, count, side.channels, to + i * row_stride, channel_stride);
      return;
    }
    std::int64_t split = -1;  // row of the gradient that lies in `made`
    T* const spread_row = made + 2 * side.channels * pooled[2];
    for (std::int64_t i = 0; i < rows; ++i) {
      const PooledRow from = pooled_row(s, d, r + i);
      if (from.pixels > 0 && from.at != split) split_pooled(split = from.at, made);
      for (std::int64_t c = 0; c < side.channels; ++c) {
        T* const target = to + i * row_stride + c * channel_stride;
        const bool whole = first == 0 && count == side.extent[2];
        spread(from, made + 2 * c * pooled[2], whole ? target : spread_row);
        if (!whole) std::copy_n(spread_row + first, count, target);
      }
    }
  }
  /// Elements of `made`.
  std::int64_t made_elements() const { return made_elements(side); }
  static std::int64_t made_elements(const Side& side) { return padded((2 * side.channels + 1) * side.extent[2]); }

 private:
  struct PooledRow {
    std::int64_t at;      // of its first element; channels last
    std::int64_t pixels;  // 0: no window holds the row
    std::int64_t place;   // of the row's first pixel within its window
  };

  const T* at(std::int64_t s, std::int64_t d, std::int64_t r) const {
    return values + (((s * side.extent[0] + d) * side.extent[1] + r) * side.extent[2]) * side.channels;
  }

  PooledRow pooled_row(std::int64_t s, std::int64_t d, std::int64_t r) const {
    const std::int64_t pd = d / window[0], pr = r / window[1];
    if (pd >= pooled[0] || pr >= pooled[1]) return {0, 0, 0};
    return {(((s * pooled[0] + pd) * pooled[1] + pr) * pooled[2]) * side.channels, pooled[2], ((d % window[0]) * window[1] + r % window[1]) * window[2]};
  }

  /// `count` channels of the window[2] pixels of a window's row that begins at `place`.
  void lead_back(std::int64_t from, std::int64_t count, std::int64_t place, T* __restrict to) const {
    constexpr std::int64_t width = Simd<T>::width;
    std::int64_t c = 0;
    for (; c + width <= count; c += width) {
      Register<T> g = load(values + from + c);
      if (result != nullptr) g = load(result + from + c) <= Register<T>{} ? g * slope : g;
      const Mask<T> won = load_bytes<T>(index + from + c) - static_cast<MaskLane<T>>(place);
      for (std::int64_t k = 0; k < window[2]; ++k) store(to + k * count + c, won == Mask<T>{} + static_cast<MaskLane<T>>(k) ? g : Register<T>{});
    }
    for (; c < count; ++c)
      for (std::int64_t k = 0; k < window[2]; ++k) to[k * count + c] = index[from + c] == place + k ? sloped(from + c) : T{};
  }

  /// A row of the gradient by channels: for each its numbers, then the places that won.
  void split_pooled(std::int64_t from, T* __restrict to) const {
    static_assert(sizeof(MaskLane<T>) == sizeof(T));
    for (std::int64_t p = 0; p < pooled[2]; ++p)
      for (std::int64_t c = 0; c < side.channels; ++c) {
        const std::int64_t element = from + p * side.channels + c;
        to[2 * c * pooled[2] + p] = sloped(element);
        const MaskLane<T> won = index[element];
        std::memcpy(&to[(2 * c + 1) * pooled[2] + p], &won, sizeof won);
      }
  }

  /// One channel of a whole row, from what split_pooled made of it.
  void spread(const PooledRow& from, const T* __restrict g, T* __restrict to) const {
    std::fill(to + from.pixels * window[2], to + side.extent[2], T{});
    const auto place = [&](std::int64_t p) {
      MaskLane<T> won;
      std::memcpy(&won, &g[pooled[2] + p], sizeof won);
      return won - static_cast<MaskLane<T>>(from.place);
    };
    if (window[2] == 2) {
      for (std::int64_t p = 0; p < from.pixels; ++p) {
        to[2 * p] = place(p) == 0 ? g[p] : T{};
        to[2 * p + 1] = place(p) == 1 ? g[p] : T{};
      }
    } else {
      for (std::int64_t p = 0; p < from.pixels; ++p)
        for (std::int64_t k = 0; k < window[2]; ++k) to[p * window[2] + k] = place(p) == k ? g[p] : T{};
    }
  }

  T sloped(std::int64_t element) const { return result != nullptr && result[element] <= T{} ? slope * values[element] : values[element]; }
};

/// Source rows of one sample as the kernels read them: the first column read of source plane d and row r (for destination offset 0)
/// is base[(d - plane) * plane_stride + (r - row) * row_stride].
template <class T>
struct SourceRows {
  const T* base;
  std::int64_t plane, row;
  std::int64_t origin(const HostPhase& h, std::int64_t depth, std::int64_t r) const {
    return (depth * h.stride[0] - plane) * h.plane_stride + (r * h.stride[1] - row) * h.row_stride;
  }
};

/// The source rows that destination rows [row0, row0 + rows) of plane `depth` of sample s read: where they lie, or copied into `copy`.
/// `made`: for RowSource.
template <class T>
SourceRows<T> source_rows(const HostPhase& h, const RowSource<T>& source, std::int64_t s, std::int64_t depth, std::int64_t row0, std::int64_t rows, T* copy,
                          T* made) {
  const TapPhase& phase = h.phase;
  const auto& extent = source.side.extent;
  const std::int64_t channels = source.side.channels;
  if (!h.copies) return {source.values + s * source.side.pixels() * channels + phase.low[2] * channels, 0, 0};
  const std::int64_t first_plane = depth * h.stride[0] + phase.low[0], last_plane = depth * h.stride[0] + phase.high[0];
  const std::int64_t first_row = row0 * h.stride[1] + phase.low[1], last_row = (row0 + rows - 1) * h.stride[1] + phase.high[1];
  const std::int64_t columns = h.planar ? h.row_stride : h.row_stride / channels;
  const std::int64_t left = std::clamp<std::int64_t>(-phase.low[2], 0, columns), right = std::clamp<std::int64_t>(extent[2] - phase.low[2], left, columns);
  for (std::int64_t d = first_plane; d <= last_plane; ++d) {
    if (h.planar) {  // a load at the end of the last row may reach over: what it finds there must be numbers
      const std::int64_t written = (d - first_plane) * h.plane_stride + (last_row - first_row + 1) * h.row_stride;
      for (std::int64_t c = 0; c < channels; ++c) {
        T* const end = copy + c * h.channel_stride + written;
        std::fill(end, std::min(end + Simd<T>::width, copy + (c + 1 < channels ? (c + 1) * h.channel_stride : h.window)), T{});
      }
    }
    const bool plane_outside = d < 0 || d >= extent[0];
    for (std::int64_t r = first_row; r <= last_row; ++r) {
      T* const to = copy + (d - first_plane) * h.plane_stride + (r - first_row) * h.row_stride;
      const bool outside = plane_outside || r < 0 || r >= extent[1];
      if (outside && !h.zero_rows) continue;
      const std::int64_t begin = outside ? columns : left, end = outside ? columns : right;  // columns that the source has
      if (h.planar) {
        for (std::int64_t c = 0; c < channels; ++c) {
          std::fill_n(to + c * h.channel_stride, begin, T{});
          std::fill_n(to + c * h.channel_stride + end, columns - end, T{});
        }
        continue;
      }
      std::fill_n(to, begin * channels, T{});
      if (begin < end) {
        const RowView<T> row = source.row(s, d, r, 0, channels, made);
        std::copy_n(row.at + (phase.low[2] + begin) * channels, (end - begin) * channels, to + begin * channels);
      }
      std::fill_n(to + end * channels, (columns - end) * channels, T{});
    }
    const std::int64_t first_inside = std::max<std::int64_t>(first_row, 0), end_inside = std::min(last_row + 1, extent[1]);
    if (h.planar && !plane_outside && first_inside < end_inside && left < right)
      source.planes(s, d, first_inside, end_inside - first_inside, phase.low[2] + left, right - left,
                    copy + (d - first_plane) * h.plane_stride + (first_inside - first_row) * h.row_stride + left, h.row_stride, h.channel_stride, made);
  }
  return {copy, first_plane, first_row};
}

}  // namespace trireme::detail
