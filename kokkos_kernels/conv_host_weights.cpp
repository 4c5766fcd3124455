// Backward-weights of a convolution on the host. See conv.hpp.
#include "kokkos_kernels/detail/conv_host.hpp"
#include "kokkos_kernels/detail/conv_planar.hpp"
#include "kokkos_kernels/detail/conv_tiles.hpp"
#include "kokkos_kernels/types.hpp"

namespace trireme::detail {

namespace {

constexpr std::int64_t most_chunks = 32;  // partial weight gradients; fixed, so that sums do not depend on threads
constexpr std::int64_t chunk_bytes = std::int64_t{8} << 20;

}  // namespace

template <class T>
WeightsPass<T>::WeightsPass(const ConvGeometry& g, const Epilogue& tail) : g_(g), lines_(g.taps() * (g.in_channels / g.groups)) {
  const std::int64_t ocg = g.out_channels / g.groups;
  const bool planar = ocg <= planar_limit<T> && g.stride[2] == 1;
  h_ = prepare(forward_taps(g), g.stride, g.in, {.channels = g.in_channels, .groups = g.groups, .element = sizeof(T), .planar = planar, .zero_rows = true});
  const ChannelBlocks<T> blocks{ocg};
  buffer_ = padded(g.groups * (lines_ + 1) * (planar ? ocg * Simd<T>::width : blocks.lanes(blocks.count())));
  const auto pooled = tail.extent(g);
  reach_ = {pooled[0] * tail.window[0], pooled[1] * tail.window[1]};
}

template <class T>
typename WeightsPass<T>::Chunks WeightsPass<T>::chunks_of(std::int64_t n) const {
  Chunks c{};
  c.blocks_per_plane = (reach_[1] + h_.rows - 1) / h_.rows;
  c.items = n * reach_[0] * c.blocks_per_plane;
  const std::int64_t fit = std::clamp<std::int64_t>(chunk_bytes / (buffer_ * static_cast<std::int64_t>(sizeof(T))), 4, most_chunks);
  c.chunks = std::clamp<std::int64_t>(fit, 1, std::max<std::int64_t>(c.items, 1));
  return c;
}

template <class T>
std::int64_t WeightsPass<T>::made_elements() const {
  return RowSource<T>::made_elements({g_.out, g_.out_channels});
}

/// A thread's copy of dz's rows.
template <class T>
std::int64_t WeightsPass<T>::dz_elements() const {
  return padded(h_.rows * (h_.planar ? g_.out_channels * planar_columns<T>(g_.out[2]) : g_.out[2] * 2 * Simd<T>::width));
}

template <class T>
std::int64_t WeightsPass<T>::workspace(std::int64_t threads) const {
  return chunks_of(std::int64_t{1} << 40).chunks * buffer_ + threads * (h_.window + made_elements() + dz_elements());
}

template <class T>
typename WeightsPass<T>::Item WeightsPass<T>::item(const Chunks& c, std::int64_t number) const {
  const std::int64_t row = number % c.blocks_per_plane * h_.rows;
  return {number / c.blocks_per_plane / reach_[0], number / c.blocks_per_plane % reach_[0], row, std::min(h_.rows, reach_[1] - row)};
}

/// Channels last: one block of output channels. out: (line, lane), the bias as one more line.
template <class T>
void WeightsPass<T>::lanes_item(const Item& item, std::int64_t group, std::int64_t block, const RowSource<T>& x, const RowSource<T>& dz, const Scratch& scratch,
                                bool with_bias, T* out) const {
  const std::int64_t icg = g_.in_channels / g_.groups, ocg = g_.out_channels / g_.groups, columns = g_.out[2];
  const ChannelBlocks<T> blocks{ocg};
  const int registers = blocks.registers(block);
  const std::int64_t width = registers * Simd<T>::width, used = blocks.used(block), channel = group * ocg + blocks.first(block);
  const SourceRows<T> source = source_rows(h_, x, item.sample, item.depth, item.row, item.rows, scratch.window, scratch.made);
  // dz's rows: where they lie if whole registers can be read there, else a copy.
  RowView<T> d{scratch.dz, width};
  if (!dz.is_pooled() && used == width) {
    d = dz.row(item.sample, item.depth, item.row, channel, used, nullptr);
  } else {
    for (std::int64_t r = 0; r < item.rows; ++r) {
      T* const to = scratch.dz + r * columns * width;
      const RowView<T> row = dz.row(item.sample, item.depth, item.row + r, channel, used, used == width ? to : scratch.made);
      if (used == width) continue;
      for (std::int64_t p = 0; p < columns; ++p) {
        std::copy_n(row.at + p * row.pixel, used, to + p * width);
        std::fill_n(to + p * width + used, width - used, T{});
      }
    }
  }
  for (int v = 0; with_bias && v < registers; ++v) {
    T* const bias = out + lines_ * width + v * Simd<T>::width;
    Register<T> sum = load(bias);
    for (std::int64_t p = 0; p < item.rows * columns; ++p) sum += load(d.at + p * d.pixel + v * Simd<T>::width);
    store(bias, sum);
  }

  const std::int64_t origin = source.origin(h_, item.depth, item.row), limit = registers == 2 ? gradient_limit<2> : gradient_limit<1>;
  const std::int64_t source_row = h_.stride[1] * h_.row_stride, source_pixel = h_.stride[2] * g_.in_channels, dz_row = columns * d.pixel;
  std::int64_t offsets[gradient_limit<1>];
  const auto walk = [&](std::int64_t line0, std::int64_t line1, std::int64_t first_row, std::int64_t row_count) {
    const std::int64_t tile = tile_size(line1 - line0, limit);
    for (std::int64_t line = line0; line < line1; line += tile) {
      const std::int64_t count = std::min(tile, line1 - line);
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t tap = (line + i) / icg, kw = tap % g_.kernel[2], kh = tap / g_.kernel[2] % g_.kernel[1], kd = tap / g_.kernel[2] / g_.kernel[1];
        offsets[i] = origin + h_.plane_offsets[static_cast<std::size_t>(kd)] + h_.row_offsets[static_cast<std::size_t>(kh)] +
                     kw * g_.dilation[2] * g_.in_channels + group * icg + (line + i) % icg + first_row * source_row;
      }
      select_gradient_tile<T>(static_cast<int>(count), registers)(source.base, offsets, source_row, source_pixel, d.at + first_row * dz_row, dz_row, d.pixel,
                                                                  row_count, columns, out + line * width);
    }
  };
  // Lines that share a kernel row are taken together when they fill tiles; rows outside the source are then skipped. Else all lines are,
  // over the zeros of the copy.
  const std::int64_t row_lines = g_.kernel[2] * icg;
  if (row_lines < 2 * gradient_limit<2>) return walk(0, lines_, 0, item.rows);
  const Interval planes = inside(h_.phase.offsets[0], item.depth * h_.stride[0], g_.in[0]);
  for (std::int64_t kd = planes.first; kd < planes.last; ++kd)
    for (std::int64_t kh = 0; kh < g_.kernel[1]; ++kh) {
      // Rows r of the block with 0 <= (row + r) * stride + offset < extent.
      const std::int64_t offset = h_.phase.offsets[1][static_cast<std::size_t>(kh)];
      std::int64_t low = 0, high = item.rows;
      while (low < high && (item.row + low) * h_.stride[1] + offset < 0) ++low;
      while (low < high && (item.row + high - 1) * h_.stride[1] + offset >= g_.in[1]) --high;
      const std::int64_t line0 = (kd * g_.kernel[1] + kh) * row_lines;
      if (low < high) walk(line0, line0 + row_lines, low, high - low);
    }
}

/// Planar: all groups. out: (group, line, channel, lane), the bias as one more line.
template <class T>
void WeightsPass<T>::planar_item(const Item& item, const RowSource<T>& x, const RowSource<T>& dz, const Scratch& scratch, bool with_bias, T* out) const {
  constexpr int width = Simd<T>::width;
  const std::int64_t icg = g_.in_channels / g_.groups, ocg = g_.out_channels / g_.groups;
  const std::int64_t columns = planar_columns<T>(g_.out[2]), registers = columns / width, channel = item.rows * columns;
  dz.planes(item.sample, item.depth, item.row, item.rows, 0, g_.out[2], scratch.dz, columns, channel, scratch.made);
  for (std::int64_t row = 0; row < g_.out_channels * item.rows; ++row) std::fill(scratch.dz + row * columns + g_.out[2], scratch.dz + (row + 1) * columns, T{});
  const SourceRows<T> source = source_rows(h_, x, item.sample, item.depth, item.row, item.rows, scratch.window, scratch.made);
  const std::int64_t origin = source.origin(h_, item.depth, item.row), source_row = h_.stride[1] * h_.row_stride;
  const PlanarTiles<T> tiles = select_planar_tiles<T>(ocg);
  std::int64_t offsets[8];
  for (std::int64_t group = 0; group < g_.groups; ++group) {
    const T* const d = scratch.dz + group * ocg * channel;
    T* const to = out + group * (lines_ + 1) * ocg * width;
    const std::int64_t deep = tile_size(lines_, tiles.depth);
    for (std::int64_t line = 0; line < lines_; line += deep) {
      const std::int64_t count = std::min(deep, lines_ - line);
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t tap = (line + i) / icg, kw = tap % g_.kernel[2], kh = tap / g_.kernel[2] % g_.kernel[1], kd = tap / g_.kernel[2] / g_.kernel[1];
        offsets[i] = origin + h_.plane_offsets[static_cast<std::size_t>(kd)] + h_.row_offsets[static_cast<std::size_t>(kh)] + kw * g_.dilation[2] +
                     (group * icg + (line + i) % icg) * h_.channel_stride;
      }
      tiles.gradient[count - 1](source.base, offsets, source_row, d, columns, channel, item.rows, registers, to + line * ocg * width);
    }
    for (std::int64_t m = 0; with_bias && m < ocg; ++m) {
      T* const bias = to + (lines_ * ocg + m) * width;
      Register<T> sum = load(bias);
      for (std::int64_t p = 0; p < channel; p += width) sum += load(d + m * channel + p);
      store(bias, sum);
    }
  }
}

template <class T>
void WeightsPass<T>::run(const Execution& exec, std::int64_t n, const T* x, const RowSource<T>& dz, T* dw, T* db, T* workspace) const {
  const std::int64_t icg = g_.in_channels / g_.groups, ocg = g_.out_channels / g_.groups, taps = g_.taps();
  const Chunks c = chunks_of(n);
  const ChannelBlocks<T> blocks{ocg};
  const std::int64_t lanes = blocks.lanes(blocks.count());
  const std::int64_t made = made_elements(), per_thread = h_.window + made + dz_elements();
  T* const partial = workspace;
  T* const threads = partial + c.chunks * buffer_;
  const std::int64_t columns = h_.planar ? 1 : g_.groups * blocks.count();  // parts of a chunk's gradient that are made apart
  const RowSource<T> source{.side = {g_.in, g_.in_channels}, .values = x};
  const std::int64_t parts = c.chunks;

  Kokkos::Experimental::UniqueToken<Execution> token(exec);
  Kokkos::parallel_for("trireme::conv::backward_weights",
                       Kokkos::RangePolicy<Execution, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>(exec, 0, c.chunks * columns),
                       [&](std::int64_t work) {
                         const std::int64_t chunk = work / columns, group = work % columns / blocks.count(), block = work % blocks.count();
                         const auto slot = token.acquire();
                         T* const mine = threads + slot * per_thread;
                         const Scratch scratch{mine, mine + h_.window, mine + h_.window + made};
                         T* const out = partial + chunk * buffer_ + (h_.planar ? 0 : (group * lanes + blocks.lanes(block)) * (lines_ + 1));
                         std::fill_n(out, h_.planar ? buffer_ : (lines_ + 1) * blocks.registers(block) * Simd<T>::width, T{});
                         for (std::int64_t number = c.items * chunk / c.chunks; number < c.items * (chunk + 1) / c.chunks; ++number)
                           if (h_.planar)
                             planar_item(item(c, number), source, dz, scratch, db != nullptr, out);
                           else
                             lanes_item(item(c, number), group, block, source, dz, scratch, db != nullptr, out);
                         token.release(slot);
                       });

  // The sum of the chunks in their order, brought to PyTorch's layout.
  const auto add = [=, this](std::int64_t group, std::int64_t line, std::int64_t m, T sum) {
    const std::int64_t channel = group * ocg + m;
    if (line < lines_)
      dw[(channel * icg + line % icg) * taps + line / icg] += sum;
    else if (db != nullptr)
      db[channel] += sum;
  };
  if (h_.planar) {
    Kokkos::parallel_for("trireme::conv::sum_chunks", Range(exec, 0, g_.groups * (lines_ + 1) * ocg), [=, this](std::int64_t work) {
      const T* in = partial + work * Simd<T>::width;
      Register<T> sums{};
      for (std::int64_t chunk = 0; chunk < c.chunks; ++chunk, in += buffer_) sums += load(in);
      T sum{};
      for (int lane = 0; lane < Simd<T>::width; ++lane) sum += sums[lane];
      add(work / (ocg * (lines_ + 1)), work / ocg % (lines_ + 1), work % ocg, sum);
    });
    return;
  }
  // One channel's taps lie together in dw: they are added together.
  Kokkos::parallel_for("trireme::conv::sum_chunks", Range(exec, 0, columns * (icg + 1)), [=, this](std::int64_t work) {
    const std::int64_t from = work % (icg + 1), group = work / (icg + 1) / blocks.count(), block = work / (icg + 1) % blocks.count();
    const std::int64_t width = blocks.registers(block) * Simd<T>::width, used = blocks.used(block), count = from < icg ? taps : 1;
    const T* const in = partial + (group * lanes + blocks.lanes(block)) * (lines_ + 1);
    constexpr std::int64_t most = 32;
    T sums[most][2 * Simd<T>::width];
    for (std::int64_t tap0 = 0; tap0 < count; tap0 += most) {
      const std::int64_t some = std::min(most, count - tap0);
      for (std::int64_t t = 0; t < some; ++t) {
        const T* const line = in + (from < icg ? (tap0 + t) * icg + from : lines_) * width;
        for (std::int64_t lane = 0; lane < width; lane += Simd<T>::width) {
          Register<T> sum{};
          for (std::int64_t chunk = 0; chunk < parts; ++chunk) sum += load(line + chunk * buffer_ + lane);
          store(sums[t] + lane, sum);
        }
      }
      for (std::int64_t lane = 0; lane < used; ++lane)
        for (std::int64_t t = 0; t < some; ++t) add(group, from < icg ? (tap0 + t) * icg + from : lines_, blocks.first(block) + lane, sums[t][lane]);
    }
  });
}

template class WeightsPass<float>;
template class WeightsPass<double>;

}  // namespace trireme::detail
