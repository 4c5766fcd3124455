// Convolution through Winograd's minimal filtering on the host. See detail/winograd.hpp.
#include "kokkos_kernels/detail/winograd.hpp"
#include "kokkos_kernels/detail/winograd_gather.hpp"
#include "kokkos_kernels/detail/winograd_tiles.hpp"

namespace trireme::detail {

namespace {

constexpr std::int64_t near_budget = 512 * 1024;  // bytes of transformed tiles that a thread holds: they stay in its second-level cache
constexpr std::int64_t fewest_tiles = 28;         // below which walking the weights costs more than the products
constexpr std::int64_t most_chunks = 32, chunk_bytes = std::int64_t{4} << 20;  // of partial weight gradients; fixed, so that sums do not depend on threads

using Dynamic = Kokkos::RangePolicy<Execution, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>;

/// Between positions of a tile: a cache line more than the tiles, so that positions do not fight for the same sets of a cache.
std::int64_t position_stride(std::int64_t tiles, std::int64_t channels) { return padded(tiles * channels) + 16; }

/// Multiply-adds for one pair of channels: direct, without those that meet padding; and here.
struct Products {
  std::int64_t direct = 1, here = 1;
};
Products products(const ConvGeometry& g) {
  Products p;
  for (std::size_t a = 0; a < 3; ++a) {
    if (g.kernel[a] != 3) {
      p.direct *= g.out[a], p.here *= g.out[a];
      continue;
    }
    std::int64_t valid = 0;
    for (std::int64_t o = 0; o < g.out[a]; ++o)
      for (std::int64_t k = 0; k < 3; ++k) valid += o - g.padding[a] + k >= 0 && o - g.padding[a] + k < g.in[a];
    p.direct *= valid, p.here *= (g.out[a] + 1) / 2 * 4;
  }
  return p;
}

/// B' d B of all tiles of some rows: position p, tile t, channel c at out[p * stride + t * channels + c].
template <class T, int D>
void transform_input(const TileRows& rows, const std::array<std::int64_t, 3>& tiles, const RowSource<T>& source, const std::array<std::int64_t, 3>& padding,
                     T* out, std::int64_t stride, T* scratch) {
  const std::int64_t channels = source.side.channels;
  for_tiles<T, D, 4>(rows, tiles, source, padding, scratch,
                     [&](const T** at, std::int64_t tile) { winograd_input<T, D>(at, channels, channels, out + tile * channels, stride); });
}

/// A dz A' of the same tiles, channels [first, last).
template <class T, int D>
void transform_gradient(const TileRows& rows, const std::array<std::int64_t, 3>& tiles, const RowSource<T>& dz, std::int64_t first, std::int64_t last, T* out,
                        std::int64_t stride, T* scratch) {
  constexpr int planes = D == 4 ? 2 : 1;
  for_tiles<T, planes, 2>(rows, tiles, dz, {0, 0, 0}, scratch, [&](const T** at, std::int64_t tile) {
    for (int row = 0; row < planes * 2; ++row) at[row] += first;
    winograd_gradient<T, D>(at, dz.side.channels, last - first, out + tile * (last - first), stride);
  });
}

/// Writes one register of channels of the results of one tile.
template <class T, int D>
struct TileOutput {
  static constexpr int depths = D == 4 ? 2 : 1;
  Side side;  // of z
  Epilogue tail;
  T* y;
  std::uint8_t* index;

  void write(std::int64_t s, const std::array<std::int64_t, 3>& tile, const T* m, std::int64_t stride, std::int64_t channel, const Register<T>& bias) const {
    WinogradResults<T, D> results;
    winograd_output<T, D>(m, stride, results);
    const auto& z = results.z;
    const T slope = static_cast<T>(tail.slope);
    if (tail.pools()) {
      const std::array<std::int64_t, 3> pooled{side.extent[0] / tail.window[0], side.extent[1] / 2, side.extent[2] / 2};
      if (tile[0] >= pooled[0] || tile[1] >= pooled[1] || tile[2] >= pooled[2]) return;
      Register<T> best = z[0][0][0];
      Mask<T> won{};
      for (int place = 1; place < 4 * depths; ++place) {
        const Register<T>& v = z[place / 4][place / 2 % 2][place % 2];
        const Mask<T> wins = (v > best) | (v != v);  // NaN wins, as in PyTorch; the first of equals stays
        best = wins ? v : best;
        won = wins ? Mask<T>{} + static_cast<MaskLane<T>>(place) : won;
      }
      const std::int64_t to = (((s * pooled[0] + tile[0]) * pooled[1] + tile[1]) * pooled[2] + tile[2]) * side.channels + channel;
      store(y + to, act(best + bias, slope));
      if (index != nullptr) store_bytes<T>(won, static_cast<std::size_t>(Simd<T>::width), index + to);
      return;
    }
    const std::int64_t d0 = D == 4 ? 2 * tile[0] : tile[0], r0 = 2 * tile[1], c0 = 2 * tile[2];
    for (int d = 0; d < depths && d0 + d < side.extent[0]; ++d)
      for (int r = 0; r < 2 && r0 + r < side.extent[1]; ++r)
        for (int c = 0; c < 2 && c0 + c < side.extent[2]; ++c) {
          const Register<T> v = z[d][r][c] + bias;
          store(y + (((s * side.extent[0] + d0 + d) * side.extent[1] + r0 + r) * side.extent[2] + c0 + c) * side.channels + channel,
                tail.slope == 1 ? v : act(v, slope));
        }
  }
};

/// Tiles times channels of all positions, one block of destination channels: to[p * stride + t * lanes].
template <class T>
void multiply(std::int64_t positions, std::int64_t tiles, std::int64_t channels, const T* from, std::int64_t from_stride, const T* weights, int registers,
              T* to, std::int64_t to_stride) {
  const TapRun run{0, channels};
  const std::int64_t none = 0, lanes = registers * Simd<T>::width;
  const T nothing[2 * Simd<T>::width] = {};
  TileJob<T> job{.runs = &run,
                 .run_count = 1,
                 .source = from,
                 .plane_offsets = &none,
                 .row_offsets = &none,
                 .plane_weights = 0,
                 .row_weights = 0,
                 .source_pixel = channels,
                 .target_pixel = lanes,
                 .lanes = lanes,
                 .bias = nothing,
                 .acts = false,
                 .slope = T{1}};
  const std::int64_t step = tile_size(tiles, registers == 2 ? tile_limit<2> : tile_limit<1>);
  for (std::int64_t p = 0; p < positions; ++p, weights += channels * lanes)
    for (std::int64_t t = 0; t < tiles; t += step)
      select_tile<T>(static_cast<int>(std::min(step, tiles - t)), registers)(job, {0, 1, 0, 1}, p * from_stride + t * channels, weights,
                                                                             to + p * to_stride + t * lanes);
}

}  // namespace

template <class T>
bool Winograd<T>::pays(const ConvGeometry& g) {
  constexpr std::int64_t width = Simd<T>::width;
  if (g.groups != 1 || g.in_channels % width != 0 || g.out_channels % width != 0 || g.kernel[1] != 3 || g.kernel[2] != 3) return false;
  if (g.kernel[0] != 3 && (g.kernel[0] != 1 || g.padding[0] != 0)) return false;
  for (std::size_t a = 0; a < 3; ++a)
    if (g.stride[a] != 1 || g.dilation[a] != 1 || g.padding[a] > 2) return false;
  const Products p = products(g);
  // The direct kernel's tiles lie within a row: short rows leave registers idle.
  const std::int64_t whole = 8, idle = whole / std::min(g.out[2], whole);
  return 3 * p.here <= 2 * idle * p.direct;
}

template <class T>
bool Winograd<T>::fits(const ConvGeometry& g, const Epilogue& tail) {
  return !tail.pools() || tail.window == std::array<std::int64_t, 3>{g.kernel[0] == 3 ? 2 : 1, 2, 2};
}

template <class T>
Winograd<T>::Winograd(const ConvGeometry& geometry) : g_(geometry), depth_(geometry.kernel[0] == 3 ? 4 : 1) {}

template <class T>
typename Winograd<T>::Tiles Winograd<T>::tiles(const std::array<std::int64_t, 3>& extent, std::int64_t channels) const {
  Tiles t{{depth_ == 4 ? (extent[0] + 1) / 2 : extent[0], (extent[1] + 1) / 2, (extent[2] + 1) / 2}, 1};
  const std::int64_t bytes = positions() * channels * static_cast<std::int64_t>(sizeof(T));
  t.rows = std::max<std::int64_t>(std::max(near_budget / bytes, fewest_tiles) / t.count[2], 1);
  return t;
}

template <class T>
std::int64_t Winograd<T>::packed_elements() const {
  return positions() * g_.in_channels * g_.out_channels;
}

template <class T>
void Winograd<T>::pack(const Execution& exec, bool transposed, const T* w, T* packed) const {
  constexpr std::int64_t width = Simd<T>::width;
  const std::int64_t to = transposed ? g_.in_channels : g_.out_channels, from = transposed ? g_.out_channels : g_.in_channels, taps = g_.taps();
  const ChannelBlocks<T> blocks{to};
  Kokkos::parallel_for("trireme::conv::winograd_weights", Range(exec, 0, blocks.count() * from), [=, this](std::int64_t item) {
    const std::int64_t block = item / from, c = item % from, lanes = blocks.registers(block) * width;
    T a[64 * 2 * width], b[64 * 2 * width];
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      const std::int64_t other = blocks.first(block) + lane;
      const T* const in = w + (transposed ? c * g_.in_channels + other : other * g_.in_channels + c) * taps;
      for (std::int64_t t = 0; t < taps; ++t) a[t * lanes + lane] = in[transposed ? taps - 1 - t : t];
    }
    winograd_kernel(a, taps / 3, 1, lanes, b);
    winograd_kernel(b, taps / 9, 4, lanes, a);
    if (depth_ == 4) winograd_kernel(a, 1, 16, lanes, b);
    const T* const made = depth_ == 4 ? b : a;
    T* const out = packed + blocks.lanes(block) * positions() * from;
    for (std::int64_t p = 0; p < positions(); ++p) std::copy_n(made + p * lanes, lanes, out + (p * from + c) * lanes);
  });
}

template <class T>
std::int64_t Winograd<T>::run_scratch(const Side& source, const Side& destination) const {
  const Tiles t = tiles(destination.extent, source.channels + 2 * Simd<T>::width);
  const std::int64_t gather = depth_ == 4 ? Gather<T, 4, 4>::scratch(source) : Gather<T, 1, 4>::scratch(source);
  return gather + positions() * (position_stride(t.most(), source.channels) + position_stride(t.most(), 2 * Simd<T>::width));
}

template <class T>
void Winograd<T>::run(const Execution& exec, std::int64_t n, const RowSource<T>& source, const Side& destination, const std::array<std::int64_t, 3>& padding,
                      const T* packed, const Tail& tail, T* y, T* scratch) const {
  constexpr std::int64_t width = Simd<T>::width;
  const std::int64_t channels = source.side.channels;
  const Tiles t = tiles(destination.extent, channels + 2 * width);
  const std::int64_t from_stride = position_stride(t.most(), channels), to_stride = position_stride(t.most(), 2 * width);
  const std::int64_t per_thread = run_scratch(source.side, destination), all = n * t.rows_of_sample();
  const ChannelBlocks<T> blocks{destination.channels};
  const auto item = [&]<int D>(const TileRows& rows, T* mine) {
    T* const from = mine;
    T* const to = from + positions() * from_stride;
    transform_input<T, D>(rows, t.count, source, padding, from, from_stride, to + positions() * to_stride);
    const TileOutput<T, D> output{destination, tail.tail, y, tail.index};
    for (std::int64_t block = 0; block < blocks.count(); ++block) {
      const int registers = blocks.registers(block);
      multiply(positions(), rows.count * t.count[2], channels, from, from_stride, packed + blocks.lanes(block) * positions() * channels, registers, to,
               to_stride);
      Register<T> bias[2] = {};
      for (int v = 0; tail.bias != nullptr && v < registers; ++v) bias[v] = load(tail.bias + blocks.first(block) + v * width);
      for_planes(rows, t.count, t.rows, [&](std::int64_t s, std::int64_t plane, std::int64_t row, std::int64_t count, std::int64_t tile) {
        for (std::int64_t r = 0; r < count; ++r)
          for (std::int64_t c = 0; c < t.count[2]; ++c, ++tile)
            for (int v = 0; v < registers; ++v)
              output.write(s, {plane, row + r, c}, to + tile * registers * width + v * width, to_stride, blocks.first(block) + v * width, bias[v]);
      });
    }
  };
  Kokkos::Experimental::UniqueToken<Execution> token(exec);
  Kokkos::parallel_for("trireme::conv::winograd", Dynamic(exec, 0, (all + t.rows - 1) / t.rows), [&](std::int64_t number) {
    const TileRows rows{number * t.rows, std::min(t.rows, all - number * t.rows)};
    const auto slot = token.acquire();
    if (depth_ == 4)
      item.template operator()<4>(rows, scratch + slot * per_thread);
    else
      item.template operator()<1>(rows, scratch + slot * per_thread);
    token.release(slot);
  });
}

template <class T>
void Winograd<T>::forward(const Execution& exec, std::int64_t n, const T* x, const T* w, const T* bias, const Epilogue& tail, T* y, std::uint8_t* index,
                          T* workspace) const {
  pack(exec, false, w, workspace);
  run(exec, n, {.side = {g_.in, g_.in_channels}, .values = x}, {g_.out, g_.out_channels}, g_.padding, workspace, {tail, bias, index}, y,
      workspace + padded(packed_elements()));
}

template <class T>
void Winograd<T>::backward_data(const Execution& exec, std::int64_t n, const RowSource<T>& dz, const T* w, T* dx, T* workspace) const {
  pack(exec, true, w, workspace);
  std::array<std::int64_t, 3> padding{};
  for (std::size_t a = 0; a < 3; ++a) padding[a] = g_.kernel[a] - 1 - g_.padding[a];
  run(exec, n, dz, {g_.in, g_.in_channels}, padding, workspace, {{}, nullptr, nullptr}, dx, workspace + padded(packed_elements()));
}

template <class T>
std::int64_t Winograd<T>::chunks(std::int64_t n) const {
  const std::int64_t bytes = (packed_elements() + g_.out_channels) * static_cast<std::int64_t>(sizeof(T));
  if (bytes > chunk_bytes) return 1;
  const Tiles t = tiles(g_.out, g_.in_channels + g_.out_channels);
  return std::clamp<std::int64_t>(std::clamp<std::int64_t>(chunk_bytes / bytes, 4, most_chunks), 1, std::max<std::int64_t>(n * t.rows_of_sample(), 1));
}

template <class T>
std::int64_t Winograd<T>::weights_scratch() const {
  const Tiles t = tiles(g_.out, g_.in_channels + g_.out_channels);
  const Side x{g_.in, g_.in_channels}, dz{g_.out, g_.out_channels};
  const std::int64_t gather =
      depth_ == 4 ? std::max(Gather<T, 4, 4>::scratch(x), Gather<T, 2, 2>::scratch(dz)) : std::max(Gather<T, 1, 4>::scratch(x), Gather<T, 1, 2>::scratch(dz));
  return gather + positions() * (position_stride(t.most(), g_.in_channels) + position_stride(t.most(), g_.out_channels));
}

template <class T>
std::int64_t Winograd<T>::workspace(std::int64_t threads) const {
  const Side x{g_.in, g_.in_channels}, z{g_.out, g_.out_channels};
  const std::int64_t data = padded(packed_elements()) + threads * std::max(run_scratch(x, z), run_scratch(z, x));
  return std::max(data, chunks(std::int64_t{1} << 40) * padded(packed_elements() + g_.out_channels) + threads * weights_scratch());
}

template <class T>
void Winograd<T>::backward_weights(const Execution& exec, std::int64_t n, const T* x, const RowSource<T>& dz, T* dw, T* db, T* workspace) const {
  constexpr std::int64_t width = Simd<T>::width;
  const std::int64_t from = g_.in_channels, to = g_.out_channels, buffer = padded(packed_elements() + to), parts = chunks(n);
  const Tiles t = tiles(g_.out, from + to);
  const std::int64_t x_stride = position_stride(t.most(), from), dz_stride = position_stride(t.most(), to), all = n * t.rows_of_sample();
  const std::int64_t per_thread = weights_scratch();
  T* const threads = workspace + parts * buffer;
  const ChannelBlocks<T> blocks{to};
  const RowSource<T> source{.side = {g_.in, from}, .values = x};
  const std::int64_t sums = depth_ == 4 ? 21 : 5;  // the position whose transform adds all of a tile's gradients
  // Of a large gradient there is one chunk, and threads share its blocks of channels.
  const std::int64_t columns = parts == 1 ? blocks.count() : 1;
  const auto item = [&]<int D>(const TileRows& rows, std::int64_t first_block, std::int64_t last_block, T* out, T* mine) {
    const std::int64_t first = blocks.first(first_block), last = std::min(blocks.first(last_block), to), mine_to = last - first;
    T* const a = mine;
    T* const b = a + positions() * x_stride;
    T* const scratch = b + positions() * dz_stride;
    transform_input<T, D>(rows, t.count, source, g_.padding, a, x_stride, scratch);
    transform_gradient<T, D>(rows, t.count, dz, first, last, b, dz_stride, scratch);
    const std::int64_t count = rows.count * t.count[2];
    for (std::int64_t p = 0; p < positions(); ++p)
      for (std::int64_t block = first_block; block < last_block; ++block) {
        const int registers = blocks.registers(block);
        const std::int64_t lanes = registers * width, step = tile_size(from, registers == 2 ? gradient_limit<2> : gradient_limit<1>);
        T* const product = out + blocks.lanes(block) * positions() * from + p * from * lanes;
        for (std::int64_t c = 0; c < from; c += step) {
          select_gradient_tile<T, true>(static_cast<int>(std::min(step, from - c)), registers)(
              a + p * x_stride, &c, 0, from, b + p * dz_stride + blocks.first(block) - first, 0, mine_to, 1, count, product + c * lanes);
        }
      }
    T* const bias = out + packed_elements();
    for (std::int64_t c = 0; db != nullptr && c < mine_to; c += width) {
      Register<T> sum = load(bias + first + c);
      for (std::int64_t tile = 0; tile < count; ++tile) sum += load(b + sums * dz_stride + tile * mine_to + c);
      store(bias + first + c, sum);
    }
  };
  Kokkos::Experimental::UniqueToken<Execution> token(exec);
  Kokkos::parallel_for("trireme::conv::winograd_gradient", Dynamic(exec, 0, parts * columns), [&](std::int64_t work) {
    const std::int64_t chunk = work / columns, first_block = work % columns * blocks.count() / columns,
                       last_block = (work % columns + 1) * blocks.count() / columns;
    const auto slot = token.acquire();
    T* const out = workspace + chunk * buffer;
    std::fill(out + blocks.lanes(first_block) * positions() * from, out + blocks.lanes(last_block) * positions() * from, T{});
    std::fill(out + packed_elements() + blocks.first(first_block), out + packed_elements() + std::min(blocks.first(last_block), to), T{});
    const std::int64_t last = all * (chunk + 1) / parts;
    for (std::int64_t first = all * chunk / parts; first < last; first += t.rows) {
      const TileRows rows{first, std::min(t.rows, last - first)};
      if (depth_ == 4)
        item.template operator()<4>(rows, first_block, last_block, out, threads + slot * per_thread);
      else
        item.template operator()<1>(rows, first_block, last_block, out, threads + slot * per_thread);
    }
    token.release(slot);
  });
  unpack(exec, parts, workspace, dw, db);
}

/// Adds G' u, the chunks in their order.
template <class T>
void Winograd<T>::unpack(const Execution& exec, std::int64_t parts, const T* partial, T* dw, T* db) const {
  constexpr std::int64_t width = Simd<T>::width;
  const std::int64_t from = g_.in_channels, buffer = padded(packed_elements() + g_.out_channels), taps = g_.taps();
  const ChannelBlocks<T> blocks{g_.out_channels};
  Kokkos::parallel_for("trireme::conv::winograd_sum", Range(exec, 0, blocks.count() * from), [=, this](std::int64_t item) {
    const std::int64_t block = item / from, c = item % from, lanes = blocks.registers(block) * width;
    T a[64 * 2 * width], b[64 * 2 * width];
    const T* const in = partial + blocks.lanes(block) * positions() * from + c * lanes;
    for (std::int64_t p = 0; p < positions(); ++p)
      for (std::int64_t lane = 0; lane < lanes; lane += width) {
        Register<T> sum{};
        for (std::int64_t chunk = 0; chunk < parts; ++chunk) sum += load(in + chunk * buffer + p * from * lanes + lane);
        store(a + p * lanes + lane, sum);
      }
    if (depth_ == 4)
      winograd_kernel_gradient(a, 1, 16, lanes, b);
    else
      std::copy_n(a, 16 * lanes, b);
    winograd_kernel_gradient(b, taps / 9, 4, lanes, a);
    winograd_kernel_gradient(a, taps / 3, 1, lanes, b);
    for (std::int64_t lane = 0; lane < lanes; ++lane)
      for (std::int64_t k = 0; k < taps; ++k) dw[((blocks.first(block) + lane) * from + c) * taps + k] += b[k * lanes + lane];
  });
  if (db == nullptr) return;
  Kokkos::parallel_for("trireme::conv::winograd_bias", Range(exec, 0, g_.out_channels), [=, this](std::int64_t channel) {
    T sum{};
    for (std::int64_t chunk = 0; chunk < parts; ++chunk) sum += partial[chunk * buffer + packed_elements() + channel];
    db[channel] += sum;
  });
}

template class Winograd<float>;
template class Winograd<double>;

}  // namespace trireme::detail
