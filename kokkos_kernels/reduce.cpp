// Sums down the columns of (rows, channels).
//
//   host:    tiles of rows x 16 channels are summed in T; their sums are added in double, in the order of the blocks
//   device:  teams of threads with up to 32 neighboring channels, see detail/column_teams.hpp
#include "kokkos_kernels/reduce.hpp"

#include "kokkos_kernels/detail/column_teams.hpp"
#include "kokkos_kernels/detail/columns.hpp"

namespace trireme {

using detail::ColumnTeams;
using detail::for_tiles;
using detail::lanes;
using detail::Tiles;

namespace {

// The rows of a thread of a device.
template <class T>
KOKKOS_INLINE_FUNCTION double strided_sum(const T* x, std::int64_t first, std::int64_t step, std::int64_t last, std::int64_t stride) {
  T sum{};
  for (std::int64_t row = first; row < last; row += step) sum += x[row * stride];
  return static_cast<double>(sum);
}

template <class T>
void device_means(const Execution& exec, std::int64_t n, std::int64_t pixels, std::int64_t of, std::int64_t channels, Span<const T> x, Span<T> y) {
  const auto take = KOKKOS_LAMBDA(std::int64_t sample, std::int64_t c, std::int64_t first, std::int64_t step, std::int64_t last, double(&sums)[1]) {
    sums[0] = strided_sum(x.data() + sample * pixels * channels + c, first, step, last, channels);
  };
  const auto give = KOKKOS_LAMBDA(std::int64_t sample, std::int64_t, std::int64_t c, const double(&sums)[1]) {
    y(sample * channels + c) = static_cast<T>(sums[0] / static_cast<double>(of));
  };
  detail::for_column_sums<1>(exec, "trireme::reduce::mean_over_pixels", ColumnTeams::whole(pixels, channels), n, take, give);
}

template <class T>
void device_channel_sums(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<double> workspace, Span<T> out) {
  const ColumnTeams teams(rows, channels);
  const auto take = KOKKOS_LAMBDA(std::int64_t, std::int64_t c, std::int64_t first, std::int64_t step, std::int64_t last, double(&sums)[1]) {
    sums[0] = strided_sum(x.data() + c, first, step, last, channels);
  };
  if (teams.down == 1) {
    const auto add = KOKKOS_LAMBDA(std::int64_t, std::int64_t, std::int64_t c, const double(&sums)[1]) { out(c) += static_cast<T>(sums[0]); };
    return detail::for_column_sums<1>(exec, "trireme::reduce::channel_sums", teams, 1, take, add);
  }
  const auto keep = KOKKOS_LAMBDA(std::int64_t, std::int64_t block, std::int64_t c, const double(&sums)[1]) { workspace(block * channels + c) = sums[0]; };
  detail::for_column_sums<1>(exec, "trireme::reduce::channel_sums", teams, 1, take, keep);
  const auto add = KOKKOS_LAMBDA(std::int64_t c, const double(&sums)[1]) { out(c) += static_cast<T>(sums[0]); };
  if (teams.down > 0) detail::for_block_sums<1>(exec, "trireme::reduce::channel_totals", teams.down, channels, workspace, add);
}

}  // namespace

template <class T>
void mean_over_pixels(const Execution& exec, std::int64_t n, std::int64_t pixels, std::int64_t of, std::int64_t channels, Span<const T> x, Span<T> y) {
  if constexpr (!on_host) {
    device_means(exec, n, pixels, of, channels, x, y);
  } else {
    const Tiles tiles(pixels, channels);
    Kokkos::parallel_for(
        "trireme::reduce::mean_over_pixels", Range(exec, 0, n * tiles.across), KOKKOS_LAMBDA(std::int64_t i) {
          const std::int64_t sample = i / tiles.across, first = i % tiles.across * lanes, used = tiles.width_of(first);
          double total[lanes] = {}, part[lanes];
          for (std::int64_t block = 0; block < tiles.down; ++block) {
            const T* const from = x.data() + (sample * pixels + block * tiles.height) * channels + first;
            if (used == lanes)
              detail::column_sums<T, lanes>(from, tiles.height_of(block), channels, used, part);
            else
              detail::column_sums<T, 0>(from, tiles.height_of(block), channels, used, part);
            for (std::int64_t l = 0; l < used; ++l) total[l] += part[l];
          }
          for (std::int64_t l = 0; l < used; ++l) y(sample * channels + first + l) = static_cast<T>(total[l] / static_cast<double>(of));
        });
  }
}

template <class T>
void mean_over_pixels_backward(const Execution& exec, std::int64_t n, std::int64_t pixels, std::int64_t of, std::int64_t channels, Span<const T> dy,
                               Span<T> dx) {
  const T share = T{1} / static_cast<T>(of);
  detail::for_rows(
      exec, "trireme::reduce::mean_over_pixels_backward", n * pixels, channels, KOKKOS_LAMBDA(std::int64_t row, std::int64_t first, std::int64_t count) {
        const T* const from = dy.data() + row / pixels * channels;
        T* const to = dx.data() + row * channels;
        for (std::int64_t c = first; c < first + count; ++c) to[c] = from[c] * share;
      });
}

std::int64_t channel_sums_workspace(std::int64_t rows, std::int64_t channels) {
  return (on_host ? Tiles(rows, channels).down : ColumnTeams(rows, channels).down_limit()) * channels;
}

template <class T>
void add_channel_sums(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<double> workspace, Span<T> out) {
  if constexpr (!on_host) {
    device_channel_sums(exec, rows, channels, x, workspace, out);
  } else {
    const Tiles tiles(rows, channels);
    for_tiles(
        exec, "trireme::reduce::channel_sums", tiles, KOKKOS_LAMBDA(std::int64_t block, std::int64_t first) {
          const T* const from = x.data() + block * tiles.height * channels + first;
          const std::int64_t used = tiles.width_of(first), height = tiles.height_of(block);
          if (used == lanes)
            detail::column_sums<T, lanes>(from, height, channels, used, workspace.data() + block * channels + first);
          else
            detail::column_sums<T, 0>(from, height, channels, used, workspace.data() + block * channels + first);
        });
    Kokkos::parallel_for(
        "trireme::reduce::channel_totals", Range(exec, 0, channels), KOKKOS_LAMBDA(std::int64_t c) {
          double total = 0;
          for (std::int64_t block = 0; block < tiles.down; ++block) total += workspace(block * channels + c);
          out(c) += static_cast<T>(total);
        });
  }
}

#define TRIREME_INSTANTIATE(T)                                                                                                               \
  template void mean_over_pixels(const Execution&, std::int64_t, std::int64_t, std::int64_t, std::int64_t, Span<const T>, Span<T>);          \
  template void mean_over_pixels_backward(const Execution&, std::int64_t, std::int64_t, std::int64_t, std::int64_t, Span<const T>, Span<T>); \
  template void add_channel_sums(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<double>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
