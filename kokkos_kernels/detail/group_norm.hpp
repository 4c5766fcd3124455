// What both passes of group normalization share: how an instance is cut into blocks, and the launch over its elements.
//
// On the host the sums over a group are made in two steps, so that the blocks of one large sample are as parallel as many small samples:
//
//   step 1, a thread per block                                     step 2, a thread per group (or instance)
//   columns:  512 pixels x 16 channels -> 2 doubles per channel    joins the blocks of a channel, then the channels of the group, in order
//   one list: 512 x 16 numbers in order -> 2 x 16 doubles          joins blocks and lanes, in order
//
// An instance is one list where its weights vary with the pixel and it has one group (layer_norm of a whole sample). The blocks depend on the shape
// only, so bits do not depend on the number of threads. On a device a team of threads has a group, and the workspace holds only channel sums.
#pragma once

#include "kokkos_kernels/detail/columns.hpp"
#include "kokkos_kernels/norm.hpp"

namespace trireme::detail {

inline constexpr std::int64_t block_rows = 512;  // summed in T

KOKKOS_INLINE_FUNCTION bool is_one_list(const NormGroups& g) { return g.groups == 1 && g.pixel_stride != 0; }

KOKKOS_INLINE_FUNCTION std::int64_t blocks_of(std::int64_t rows) { return (rows + block_rows - 1) / block_rows; }

/// Blocks of pixels; a device's teams have all pixels.
KOKKOS_INLINE_FUNCTION std::int64_t column_blocks(const NormGroups& g) { return on_host ? blocks_of(g.pixels) : 1; }

/// Element of the sample's list that is number e of a group.
KOKKOS_INLINE_FUNCTION std::int64_t element_of(const NormGroups& g, std::int64_t group, std::int64_t e) {
  const auto width = static_cast<std::uint32_t>(g.width()), at = static_cast<std::uint32_t>(e);
  return at / width * g.channels + group * g.width() + at % width;
}

/// Mean and sum of squared deviations of numbers that come in parts (Chan, Golub and LeVeque 1979).
struct Joined {
  double count = 0, mean = 0, squares = 0;
  KOKKOS_INLINE_FUNCTION void join(double n, double other, double more) {
    const double total = count + n, d = other - mean;
    mean += d * (n / total);
    squares += more + d * d * (count * n / total);
    count = total;
  }
};

/// f(row of pixels, its pixel, channel, index of the channel's mean, of its inv_std) for all elements.
template <class F>
void for_elements(const Execution& exec, const char* label, std::int64_t n, const NormGroups& g, const F& f) {
  if constexpr (on_host)
    Kokkos::parallel_for(
        label, Range(exec, 0, n * g.pixels), KOKKOS_LAMBDA(std::int64_t row) {
          const std::int64_t p = row % g.pixels, mean = row / g.pixels * 2 * g.groups, width = g.width();
          if (width == 1) {
            for (std::int64_t c = 0; c < g.channels; ++c) f(row, p, c, mean + c, mean + g.groups + c);
          } else {
            for (std::int64_t group = 0; group < g.groups; ++group)
              for (std::int64_t c = group * width; c < (group + 1) * width; ++c) f(row, p, c, mean + group, mean + g.groups + group);
          }
        });
  else
    Kokkos::parallel_for(
        label, Range(exec, 0, n * g.pixels * g.channels), KOKKOS_LAMBDA(std::int64_t i) {
          const std::int64_t row = i / g.channels, c = i % g.channels, mean = row / g.pixels * 2 * g.groups + c / g.width();
          f(row, row % g.pixels, c, mean, mean + g.groups);
        });
}

}  // namespace trireme::detail
