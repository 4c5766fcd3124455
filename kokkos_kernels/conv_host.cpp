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
Chunks chunks_of(const ConvGeometry& g, const TapPhase& phase, std::int64_t n) {
  Chunks c{};
  const ChannelBlocks<T> blocks{g.out_channels / g.groups};
  c.rows_per_block = rows_per_block(phase, g.stride, g.in_channels, sizeof(T));
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

// destination(phase) = sum over taps of source; one launch for one phase.
template <class T>
void run_phase(const Execution& exec, const TapPhase& phase, const std::array<std::int64_t, 3>& pace, std::int64_t groups, std::int64_t n,
               const Side& source, const Side& destination, const T* x, const T* packed, const T* bias, T* y, bool relu, T* scratch) {
  const std::int64_t from = source.channels / groups, to = destination.channels / groups;
  const std::int64_t rows = rows_per_block(phase, pace, source.channels, sizeof(T));
  const std::int64_t row_blocks = (phase.count[1] + rows - 1) / rows;
  const std::int64_t window_size = padded(window_elements(phase, pace, source.channels, rows));
  const std::int64_t phase_taps = static_cast<std::int64_t>(phase.taps.size());
  const ChannelBlocks<T> blocks{to};
  const std::int64_t per_group = blocks.lanes(blocks.count()) * phase_taps * from;

  // The tap runs of the two kinds of source: the activation itself and a window of it.
  std::vector<TapRun> direct_runs;
  const SourceStrides direct{source.extent[1] * source.extent[2] * source.channels, source.extent[2] * source.channels, source.channels};
  make_runs(phase, direct, from, groups == 1, direct_runs);
  const Window sample = window_of(phase, pace, source.extent, 0, 0, rows);
  const std::int64_t window_row = sample.extent[2] * source.channels;

  Kokkos::Experimental::UniqueToken<Execution> token(exec);
  Kokkos::parallel_for(
      "trireme::conv::direct", Kokkos::RangePolicy<Execution, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>(
                                   exec, 0, n * phase.count[0] * row_blocks),
      [&](std::int64_t item) {
        const std::int64_t block_index = item % row_blocks, depth = item / row_blocks % phase.count[0], s = item / row_blocks / phase.count[0];
        const std::int64_t row0 = block_index * rows, row_count = std::min(rows, phase.count[1] - row0);
        const Window window = window_of(phase, pace, source.extent, depth, row0, row_count);
        const T* const sample_data = x + s * source.pixels() * source.channels;
        const T* base;
        SourceStrides strides;
        std::vector<TapRun> local_runs;
        const std::vector<TapRun>* runs = &direct_runs;
        const auto slot = token.acquire();
        if (window.inside) {
          base = sample_data + ((window.first[0] * source.extent[1] + window.first[1]) * source.extent[2] + window.first[2]) * source.channels;
          strides = direct;
        } else {
          T* const copy = scratch + slot * window_size;
          copy_window(window, source.extent, source.channels, sample_data, copy);
          base = copy;
          strides = {window.extent[1] * window_row, window_row, source.channels};
          make_runs(phase, strides, from, groups == 1, local_runs);
          runs = &local_runs;
        }
        const std::int64_t out_depth = phase.first[0] + depth * phase.step[0];
        for (std::int64_t group = 0; group < groups; ++group)
          for (std::int64_t block = 0; block < blocks.count(); ++block) {
            const int registers = blocks.registers(block);
            const std::int64_t channel = group * to + blocks.first(block);
            const T* const w = packed + group * per_group + blocks.lanes(block) * phase_taps * from;
            T bias_lanes[2 * Simd<T>::width] = {};
            if (bias) std::copy_n(bias + channel, blocks.used(block), bias_lanes);
            const TileTarget target{phase.step[2] * destination.channels, blocks.used(block), relu};
            const std::int64_t tile = tile_size(phase.count[2], registers == 2 ? tile_limit<2> : tile_limit<1>);
            for (std::int64_t row = 0; row < row_count; ++row) {
              const std::int64_t out_row = phase.first[1] + (row0 + row) * phase.step[1];
              T* const out = y + (((s * destination.extent[0] + out_depth) * destination.extent[1] + out_row) * destination.extent[2] +
                                  phase.first[2]) * destination.channels + channel;
              const T* const in = base + row * pace[1] * strides.row + group * from;
              for (std::int64_t p = 0; p < phase.count[2]; p += tile) {
                const int pixels = static_cast<int>(std::min(tile, phase.count[2] - p));
                select_tile<T>(pixels, registers)(in + p * pace[2] * strides.pixel, pace[2] * strides.pixel, runs->data(),
                                                  static_cast<std::int64_t>(runs->size()), w, bias_lanes, out + p * target.pixel_stride, target);
              }
            }
          }
        token.release(slot);
      });
}

}  // namespace

template <class T>
ConvPlan<T>::ConvPlan(const ConvGeometry& geometry)
    : geometry_(geometry), forward_(forward_taps(geometry)), backward_(backward_taps(geometry)) {
  const std::int64_t threads = Execution().concurrency();
  const ChannelBlocks<T> out_blocks{geometry.out_channels / geometry.groups}, in_blocks{geometry.in_channels / geometry.groups};
  const std::int64_t packed = std::max(out_blocks.lanes(out_blocks.count()) * geometry.in_channels,
                                       in_blocks.lanes(in_blocks.count()) * geometry.out_channels) * geometry.taps();
  const std::int64_t rows = rows_per_block(forward_, geometry.stride, geometry.in_channels, sizeof(T));
  std::int64_t window = window_elements(forward_, geometry.stride, geometry.in_channels, rows);
  for (const auto& phase : backward_)
    window = std::max(window, window_elements(phase, {1, 1, 1}, geometry.out_channels,
                                              rows_per_block(phase, {1, 1, 1}, geometry.out_channels, sizeof(T))));
  const auto c = chunks_of<T>(geometry, forward_, std::int64_t{1} << 40);
  // Backward-weights: partial gradients, windows, and a copy of dy's rows for a block with missing lanes.
  const std::int64_t dy_rows = padded(rows * geometry.out[2] * 2 * Simd<T>::width);
  workspace_ = std::max(padded(packed) + threads * padded(window), c.chunks * c.buffer + threads * (padded(window) + dy_rows));
}

template <class T>
void ConvPlan<T>::forward(const Execution& exec, std::int64_t n, Span<const T> x, Span<const T> w, Span<const T> bias, Span<T> y, bool relu,
                          Span<T> workspace) const {
  const std::int64_t packed = pack_weights<T>(exec, geometry_, forward_, false, w.data(), workspace.data());
  run_phase<T>(exec, forward_, geometry_.stride, geometry_.groups, n, {geometry_.in, geometry_.in_channels},
               {geometry_.out, geometry_.out_channels}, x.data(), workspace.data(), bias.data(), y.data(), relu, workspace.data() + padded(packed));
}

template <class T>
void ConvPlan<T>::backward_data(const Execution& exec, std::int64_t n, Span<const T> dy, Span<const T> w, Span<T> dx, Span<T> workspace) const {
  for (const auto& phase : backward_) {
    const std::int64_t packed = pack_weights<T>(exec, geometry_, phase, true, w.data(), workspace.data());
    run_phase<T>(exec, phase, {1, 1, 1}, geometry_.groups, n, {geometry_.out, geometry_.out_channels}, {geometry_.in, geometry_.in_channels},
                 dy.data(), workspace.data(), nullptr, dx.data(), false, workspace.data() + padded(packed));
  }
}

template <class T>
void ConvPlan<T>::backward_weights(const Execution& exec, std::int64_t n, Span<const T> x, Span<const T> dy, Span<T> dw, Span<T> dbias,
                                   Span<T> workspace) const {
  const ConvGeometry& g = geometry_;
  const TapPhase& phase = forward_;
  const std::int64_t icg = g.in_channels / g.groups, ocg = g.out_channels / g.groups, taps = g.taps(), lines = taps * icg;
  const Chunks c = chunks_of<T>(g, phase, n);
  const ChannelBlocks<T> blocks{ocg};
  const std::int64_t lanes = blocks.lanes(blocks.count());
  const std::int64_t window_size = padded(window_elements(phase, g.stride, g.in_channels, c.rows_per_block));
  const std::int64_t dy_size = padded(c.rows_per_block * g.out[2] * 2 * Simd<T>::width);
  T* const partial = workspace.data();
  T* const windows = partial + c.chunks * c.buffer;
  T* const dy_copies = windows + exec.concurrency() * window_size;
  const std::int64_t columns = g.groups * blocks.count();
  const SourceStrides direct{g.in[1] * g.in[2] * g.in_channels, g.in[2] * g.in_channels, g.in_channels};

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
        const std::int64_t tile = tile_size(lines, registers == 2 ? tile_limit<2> : tile_limit<1>);
        const auto slot = token.acquire();
        std::vector<std::int64_t> offsets(static_cast<std::size_t>(lines));
        for (std::int64_t item = first; item < last; ++item) {
          const std::int64_t row_block = item % c.blocks_per_plane, depth = item / c.blocks_per_plane % g.out[0];
          const std::int64_t s = item / c.blocks_per_plane / g.out[0];
          const std::int64_t row0 = row_block * c.rows_per_block, rows = std::min(c.rows_per_block, g.out[1] - row0);
          const Window window = window_of(phase, g.stride, g.in, depth, row0, rows);
          const T* const sample = x.data() + s * g.in_pixels() * g.in_channels;
          const T* base;
          SourceStrides strides = direct;
          if (window.inside) {
            base = sample + ((window.first[0] * g.in[1] + window.first[1]) * g.in[2] + window.first[2]) * g.in_channels;
          } else {
            T* const copy = windows + slot * window_size;
            copy_window(window, g.in, g.in_channels, sample, copy);
            base = copy;
            strides = {window.extent[1] * window.extent[2] * g.in_channels, window.extent[2] * g.in_channels, g.in_channels};
          }
          for (std::int64_t t = 0; t < taps; ++t) {
            const auto& o = phase.offsets[static_cast<std::size_t>(t)];
            const std::int64_t at = (o[0] - phase.low[0]) * strides.depth + (o[1] - phase.low[1]) * strides.row +
                                    (o[2] - phase.low[2]) * strides.pixel + group * icg;
            for (std::int64_t i = 0; i < icg; ++i) offsets[static_cast<std::size_t>(t * icg + i)] = at + i;
          }
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
          for (std::int64_t line = 0; line < lines; line += tile) {
            const int count = static_cast<int>(std::min(tile, lines - line));
            select_gradient_tile<T>(count, registers)(base, offsets.data() + line, g.stride[1] * strides.row, g.stride[2] * strides.pixel, d,
                                                      g.out[2] * dy_pixel, dy_pixel, rows, g.out[2], out + line * width);
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
