// Convolution on the host: direct kernels over lists of taps. See conv.hpp.
#include "kokkos_kernels/types.hpp"

#include "kokkos_kernels/conv.hpp"
#include "kokkos_kernels/detail/conv_host.hpp"
#include "kokkos_kernels/detail/conv_taps.hpp"

namespace trireme {

using namespace detail;

namespace {

constexpr std::int64_t most_chunks = 32;               // partial weight gradients; fixed, so that sums do not depend on threads
constexpr std::int64_t chunk_bytes = std::int64_t{8} << 20;

struct Chunks {
  std::int64_t rows_per_block, blocks_per_plane, items, chunks, buffer;  // buffer: elements of one partial gradient
};

template <class T>
Chunks chunks_of(const ConvGeometry& g, const HostPhase& phase, std::int64_t n) {
  Chunks c{};
  const ChannelBlocks<T> blocks{g.out_channels / g.groups};
  c.rows_per_block = phase.rows;
  c.blocks_per_plane = (g.out[1] + c.rows_per_block - 1) / c.rows_per_block;
  c.items = n * g.out[0] * c.blocks_per_plane;
  c.buffer = padded(g.groups * blocks.lanes(blocks.count()) * (g.taps() * (g.in_channels / g.groups) + 1));
  const std::int64_t fit = std::clamp<std::int64_t>(chunk_bytes / (c.buffer * static_cast<std::int64_t>(sizeof(T))), 4, most_chunks);
  c.chunks = std::clamp<std::int64_t>(fit, 1, std::max<std::int64_t>(c.items, 1));
  return c;
}

// Packed weights: for each group and block of destination channels, for each tap of the phase and source channel, the block's lanes.
// `transposed` takes input channels as the destination.
template <class T>
std::int64_t pack_weights(const Execution& exec, const ConvGeometry& g, const TapPhase& phase, bool transposed, const T* w, T* packed) {
  const std::int64_t icg = g.in_channels / g.groups, ocg = g.out_channels / g.groups, taps = g.taps();
  const std::int64_t to = transposed ? icg : ocg, from = transposed ? ocg : icg;
  const std::int64_t phase_taps = static_cast<std::int64_t>(phase.taps.size());
  const ChannelBlocks<T> blocks{to};
  const std::int64_t per_group = blocks.lanes(blocks.count()) * phase_taps * from;
  const std::int64_t* const tap_index = phase.taps.data();
  Kokkos::parallel_for("trireme::conv::pack_weights", Range(exec, 0, g.groups * blocks.count() * phase_taps),
                       [=](std::int64_t item) {
    const std::int64_t t = item % phase_taps, block = item / phase_taps % blocks.count(), group = item / phase_taps / blocks.count();
    const std::int64_t lanes = blocks.lanes(block + 1) - blocks.lanes(block), used = blocks.used(block), first = blocks.first(block);
    T* out = packed + group * per_group + blocks.lanes(block) * phase_taps * from + t * from * lanes;
    const T* in = w + group * ocg * icg * taps + tap_index[t];
    for (std::int64_t c = 0; c < from; ++c, out += lanes)
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        const std::int64_t m = transposed ? c : first + lane, k = transposed ? first + lane : c;
        out[lane] = lane < used ? in[(m * icg + k) * taps] : T{};
      }
  });
  return g.groups * per_group;
}

struct Side {  // an activation: extents and channels
  std::array<std::int64_t, 3> extent;
  std::int64_t channels;
  std::int64_t pixels() const { return extent[0] * extent[1] * extent[2]; }
};

// Packed weights of one block that are walked before the next tile begins: as many kernel rows as stay in the first-level cache.
constexpr std::int64_t weights_budget = 20 * 1024;

// destination(phase) = sum over taps of source; one launch for one phase.
template <class T>
void run_phase(const Execution& exec, const HostPhase& h, std::int64_t groups, std::int64_t n, const Side& source, const Side& destination,
               const T* x, const T* packed, const T* bias, T* y, bool relu, T* scratch) {
  const TapPhase& phase = h.phase;
  const std::int64_t from = source.channels / groups, to = destination.channels / groups;
  const std::int64_t row_blocks = (phase.count[1] + h.rows - 1) / h.rows;
  const std::int64_t planes = static_cast<std::int64_t>(phase.offsets[0].size()), kernel_rows = static_cast<std::int64_t>(phase.offsets[1].size());
  const std::int64_t row_taps = static_cast<std::int64_t>(phase.offsets[2].size()), phase_taps = static_cast<std::int64_t>(phase.taps.size());
  const ChannelBlocks<T> blocks{to};
  const std::int64_t per_group = blocks.lanes(blocks.count()) * phase_taps * from;

  Kokkos::Experimental::UniqueToken<Execution> token(exec);
  Kokkos::parallel_for(
      "trireme::conv::direct", Kokkos::RangePolicy<Execution, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>(
                                   exec, 0, n * phase.count[0] * row_blocks),
      [&](std::int64_t item) {
        const std::int64_t depth = item / row_blocks % phase.count[0], s = item / row_blocks / phase.count[0];
        const std::int64_t row0 = item % row_blocks * h.rows, row_count = std::min(h.rows, phase.count[1] - row0);
        const auto slot = token.acquire();
        const SourceRows<T> rows = source_rows(h, source.extent, source.channels, x + s * source.pixels() * source.channels, depth, row0, row_count,
                                               scratch + slot * h.window);
        const Interval valid_planes = inside(phase.offsets[0], depth * h.pace[0], source.extent[0]);
        for (std::int64_t group = 0; group < groups; ++group)
          for (std::int64_t block = 0; block < blocks.count(); ++block) {
            const int registers = blocks.registers(block);
            const std::int64_t lanes = registers * Simd<T>::width, channel = group * to + blocks.first(block);
            const T* const weights = packed + group * per_group + blocks.lanes(block) * phase_taps * from;
            T bias_lanes[2 * Simd<T>::width] = {};
            if (bias) std::copy_n(bias + channel, blocks.used(block), bias_lanes);
            TileJob<T> job{h.runs.data(), static_cast<std::int64_t>(h.runs.size()), rows.base + group * from, h.plane_offsets.data(),
                           h.row_offsets.data(), kernel_rows * row_taps * from * lanes, row_taps * from * lanes, h.pace[2] * source.channels,
                           phase.step[2] * destination.channels, blocks.used(block), nullptr, false};
            const std::int64_t tile = tile_size(phase.count[2], registers == 2 ? tile_limit<2> : tile_limit<1>);
            // The taps in parts whose weights stay near: all of them, or some kernel rows of one plane.
            const bool whole = planes * job.plane_weights * static_cast<std::int64_t>(sizeof(T)) <= weights_budget;
            const std::int64_t part_rows =
                whole ? kernel_rows : std::clamp<std::int64_t>(weights_budget / (job.row_weights * static_cast<std::int64_t>(sizeof(T))), 1, kernel_rows);
            const std::int64_t first_plane = valid_planes.first, last_plane = std::max(valid_planes.last, first_plane + 1);
            for (std::int64_t plane = first_plane; plane < last_plane; plane += whole ? last_plane - first_plane : 1)
              for (std::int64_t part = 0; part < std::max<std::int64_t>(kernel_rows, 1); part += std::max<std::int64_t>(part_rows, 1))
                for (std::int64_t row = 0; row < row_count; ++row) {
                  const Interval valid = inside(phase.offsets[1], (row0 + row) * h.pace[1], source.extent[1]);
                  const bool nothing = valid.first >= valid.last || valid_planes.first >= valid_planes.last;
                  const TapRange range{plane, nothing ? plane : whole ? valid_planes.last : plane + 1, std::max(valid.first, part),
                                       std::min(valid.last, part + part_rows)};
                  // The first part that has taps (or the only one, if none has) starts from the bias; the last one ends with relu.
                  const bool first = nothing ? part == 0 && plane == first_plane : plane == first_plane && valid.first >= part;
                  const bool last = nothing ? first : (whole || plane + 1 == last_plane) && valid.last <= part + part_rows;
                  if (range.empty() && !(nothing && first)) continue;
                  job.bias = first ? bias_lanes : nullptr;
                  job.relu = relu && last;
                  const std::int64_t out_depth = phase.first[0] + depth * phase.step[0], out_row = phase.first[1] + (row0 + row) * phase.step[1];
                  T* const out = y + (((s * destination.extent[0] + out_depth) * destination.extent[1] + out_row) * destination.extent[2] +
                                      phase.first[2]) * destination.channels + channel;
                  const std::int64_t origin = rows.origin(h, depth, row0 + row);
                  for (std::int64_t p = 0; p < phase.count[2]; p += tile)
                    select_tile<T>(static_cast<int>(std::min(tile, phase.count[2] - p)), registers)(job, range, origin + p * job.source_pixel, weights,
                                                                                                   out + p * job.target_pixel);
                }
          }
        token.release(slot);
      });
}

}  // namespace

template <class T>
ConvPlan<T>::ConvPlan(const ConvGeometry& geometry)
    : geometry_(geometry),
      forward_(prepare(forward_taps(geometry), geometry.stride, geometry.in, geometry.in_channels, geometry.groups, sizeof(T), false)),
      weights_(prepare(forward_taps(geometry), geometry.stride, geometry.in, geometry.in_channels, geometry.groups, sizeof(T), true)) {
  for (auto& phase : backward_taps(geometry))
    backward_.push_back(prepare(std::move(phase), {1, 1, 1}, geometry.out, geometry.out_channels, geometry.groups, sizeof(T), false));
  const std::int64_t threads = Execution().concurrency();
  const ChannelBlocks<T> out_blocks{geometry.out_channels / geometry.groups}, in_blocks{geometry.in_channels / geometry.groups};
  const std::int64_t packed = std::max(out_blocks.lanes(out_blocks.count()) * geometry.in_channels,
                                       in_blocks.lanes(in_blocks.count()) * geometry.out_channels) * geometry.taps();
  std::int64_t window = forward_.window;
  for (const auto& phase : backward_) window = std::max(window, phase.window);
  // Backward-weights: partial gradients, windows, and a copy of dy's rows for a block with missing lanes.
  const auto c = chunks_of<T>(geometry, weights_, std::int64_t{1} << 40);
  const std::int64_t dy_rows = padded(weights_.rows * geometry.out[2] * 2 * Simd<T>::width);
  const std::int64_t offsets = padded(geometry.taps() * (geometry.in_channels / geometry.groups) * 2);
  workspace_ = std::max(padded(packed) + threads * window, c.chunks * c.buffer + threads * (weights_.window + dy_rows + offsets));
}

template <class T>
void ConvPlan<T>::forward(const Execution& exec, std::int64_t n, Span<const T> x, Span<const T> w, Span<const T> bias, Span<T> y, bool relu,
                          Span<T> workspace) const {
  const std::int64_t packed = pack_weights<T>(exec, geometry_, forward_.phase, false, w.data(), workspace.data());
  run_phase<T>(exec, forward_, geometry_.groups, n, {geometry_.in, geometry_.in_channels}, {geometry_.out, geometry_.out_channels}, x.data(),
               workspace.data(), bias.data(), y.data(), relu, workspace.data() + padded(packed));
}

template <class T>
void ConvPlan<T>::backward_data(const Execution& exec, std::int64_t n, Span<const T> dy, Span<const T> w, Span<T> dx, Span<T> workspace) const {
  for (const auto& phase : backward_) {
    const std::int64_t packed = pack_weights<T>(exec, geometry_, phase.phase, true, w.data(), workspace.data());
    run_phase<T>(exec, phase, geometry_.groups, n, {geometry_.out, geometry_.out_channels}, {geometry_.in, geometry_.in_channels}, dy.data(),
                 workspace.data(), nullptr, dx.data(), false, workspace.data() + padded(packed));
  }
}

template <class T>
void ConvPlan<T>::backward_weights(const Execution& exec, std::int64_t n, Span<const T> x, Span<const T> dy, Span<T> dw, Span<T> dbias,
                                   Span<T> workspace) const {
  const ConvGeometry& g = geometry_;
  const HostPhase& h = weights_;
  const std::int64_t icg = g.in_channels / g.groups, ocg = g.out_channels / g.groups, taps = g.taps(), lines = taps * icg;
  const Chunks c = chunks_of<T>(g, h, n);
  const ChannelBlocks<T> blocks{ocg};
  const std::int64_t lanes = blocks.lanes(blocks.count());
  const std::int64_t dy_size = padded(h.rows * g.out[2] * 2 * Simd<T>::width);
  T* const partial = workspace.data();
  T* const windows = partial + c.chunks * c.buffer;
  T* const dy_copies = windows + exec.concurrency() * h.window;
  const std::int64_t columns = g.groups * blocks.count();
  // Lines that share a kernel row are taken together when they fill tiles; rows outside the source are then skipped. Else all lines are,
  // over the zeros of the copy.
  const std::int64_t row_lines = g.kernel[2] * icg;
  const bool by_kernel_row = row_lines >= 2 * tile_limit<2>;

  Kokkos::Experimental::UniqueToken<Execution> token(exec);
  Kokkos::parallel_for(
      "trireme::conv::backward_weights",
      Kokkos::RangePolicy<Execution, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>(exec, 0, c.chunks * columns),
      [&](std::int64_t work) {
        const std::int64_t chunk = work / columns, group = work % columns / blocks.count(), block = work % blocks.count();
        const int registers = blocks.registers(block);
        const std::int64_t width = registers * Simd<T>::width, used = blocks.used(block);
        const std::int64_t channel = group * ocg + blocks.first(block);
        T* const out = partial + chunk * c.buffer + group * lanes * (lines + 1) + blocks.lanes(block) * (lines + 1);
        std::fill_n(out, (lines + 1) * width, T{});
        const std::int64_t first = c.items * chunk / c.chunks, last = c.items * (chunk + 1) / c.chunks;
        const std::int64_t limit = registers == 2 ? tile_limit<2> : tile_limit<1>;
        const auto slot = token.acquire();
        for (std::int64_t item = first; item < last; ++item) {
          const std::int64_t depth = item / c.blocks_per_plane % g.out[0], s = item / c.blocks_per_plane / g.out[0];
          const std::int64_t row0 = item % c.blocks_per_plane * h.rows, rows = std::min(h.rows, g.out[1] - row0);
          const SourceRows<T> source = source_rows(h, g.in, g.in_channels, x.data() + s * g.in_pixels() * g.in_channels, depth, row0, rows,
                                                   windows + slot * h.window);
          // dy's rows; with missing lanes from a copy, so that no load reaches beyond them.
          const T* d = dy.data() + (((s * g.out[0] + depth) * g.out[1] + row0) * g.out[2]) * g.out_channels + channel;
          std::int64_t dy_pixel = g.out_channels;
          if (used < width) {
            T* const copy = dy_copies + slot * dy_size;
            for (std::int64_t p = 0; p < rows * g.out[2]; ++p) {
              std::copy_n(d + p * g.out_channels, used, copy + p * width);
              std::fill_n(copy + p * width + used, width - used, T{});
            }
            d = copy;
            dy_pixel = width;
          }
          for (std::int64_t p = 0; p < rows * g.out[2]; ++p)
            for (std::int64_t lane = 0; lane < width; ++lane) out[lines * width + lane] += d[p * dy_pixel + lane];
          const std::int64_t origin = source.origin(h, depth, row0);
          const std::int64_t source_row = h.pace[1] * h.row_stride, source_pixel = h.pace[2] * g.in_channels, dy_row = g.out[2] * dy_pixel;
          std::int64_t offsets[tile_limit<1>];
          const auto walk = [&](std::int64_t line0, std::int64_t line1, std::int64_t first_row, std::int64_t row_count) {
            const std::int64_t tile = tile_size(line1 - line0, limit);
            for (std::int64_t line = line0; line < line1; line += tile) {
              const std::int64_t count = std::min(tile, line1 - line);
              for (std::int64_t i = 0; i < count; ++i) {
                const std::int64_t tap = (line + i) / icg, kw = tap % g.kernel[2], kh = tap / g.kernel[2] % g.kernel[1], kd = tap / g.kernel[2] / g.kernel[1];
                offsets[i] = origin + h.plane_offsets[static_cast<std::size_t>(kd)] + h.row_offsets[static_cast<std::size_t>(kh)] +
                             kw * g.dilation[2] * g.in_channels + group * icg + (line + i) % icg + first_row * source_row;
              }
              select_gradient_tile<T>(static_cast<int>(count), registers)(source.base, offsets, source_row, source_pixel, d + first_row * dy_row, dy_row,
                                                                          dy_pixel, row_count, g.out[2], out + line * width);
            }
          };
          if (!by_kernel_row) {
            walk(0, lines, 0, rows);
            continue;
          }
          const Interval planes = inside(h.phase.offsets[0], depth * h.pace[0], g.in[0]);
          for (std::int64_t kd = planes.first; kd < planes.last; ++kd)
            for (std::int64_t kh = 0; kh < g.kernel[1]; ++kh) {
              // Rows r of the block with 0 <= (row0 + r) * stride + offset < extent.
              const std::int64_t offset = h.phase.offsets[1][static_cast<std::size_t>(kh)];
              std::int64_t low = 0, high = rows;
              while (low < high && (row0 + low) * h.pace[1] + offset < 0) ++low;
              while (low < high && (row0 + high - 1) * h.pace[1] + offset >= g.in[1]) --high;
              const std::int64_t line0 = (kd * g.kernel[1] + kh) * row_lines;
              if (low < high) walk(line0, line0 + row_lines, low, high - low);
            }
        }
        token.release(slot);
      });

  // Sum the chunks in their order, and bring the result to PyTorch's layout.
  T* const dw_out = dw.data();
  T* const db_out = dbias.data();
  Kokkos::parallel_for("trireme::conv::sum_chunks", Range(exec, 0, columns * (lines + 1)), [=](std::int64_t work) {
    const std::int64_t line = work % (lines + 1), group = work / (lines + 1) / blocks.count(), block = work / (lines + 1) % blocks.count();
    const std::int64_t width = blocks.registers(block) * Simd<T>::width;
    const T* in = partial + group * lanes * (lines + 1) + blocks.lanes(block) * (lines + 1) + line * width;
    T sum[2 * Simd<T>::width] = {};
    for (std::int64_t chunk = 0; chunk < c.chunks; ++chunk, in += c.buffer)
      for (std::int64_t lane = 0; lane < width; ++lane) sum[lane] += in[lane];
    const std::int64_t tap = line / icg, i = line % icg;
    for (std::int64_t lane = 0; lane < blocks.used(block); ++lane) {
      const std::int64_t m = group * ocg + blocks.first(block) + lane;
      if (line < lines)
        dw_out[(m * icg + i) * taps + tap] += sum[lane];
      else if (db_out)
        db_out[m] += sum[lane];
    }
  });
}

template class ConvPlan<float>;
template class ConvPlan<double>;

}  // namespace trireme
