// The tiles of conv_gathered.hpp on the tensor cores of a CUDA device: operands are rounded to tf32 or to bf16 (which tf32 holds) on their way into shared
// memory, sums are in float. Channels of the source come in fours, and lie aligned.
#pragma once

#include "kokkos_kernels/detail/conv_gathered.hpp"

#if defined(KOKKOS_ENABLE_CUDA)

#include <mma.h>

namespace trireme::detail {

/// As GatheredProduct, 128 pixels times `width` outputs a team of four warps, sixteen columns of the sum at a time.
template <int width>
struct TensorProduct {
  static constexpr int pixels = 128, deep = 16, threads = 128, line_a = deep + 4, line_b = width + 4;
  static constexpr int half_a = pixels * line_a, half_b = deep * line_b, shared_elements = std::max(2 * (half_a + half_b), pixels*line_b);

  Gather gather;
  std::int64_t rows;
  int outputs, across, dropped;
  bool stores_fours;
  const float *x, *weights, *bias;
  float slope;
  float* y;

  template <class Member>
  KOKKOS_FUNCTION void run(const Member& team, float* shared) const {
#if defined(__CUDA_ARCH__)
    namespace wmma = nvcuda::wmma;
    constexpr int loads = pixels * deep / 4 / threads, quads_b = deep * width / 4, loads_b = (quads_b + threads - 1) / threads, across_warp = width / 16;
    const int thread = team.team_rank(), warp = thread / 32, quad = thread % (deep / 4);
    const std::int64_t tile = team.league_rank(), first = tile / across * pixels;
    const int first_output = static_cast<int>(tile % across) * width, columns = gather.width();
    float *const a = shared, *const b = shared + 2 * half_a;

    Gather::Spot spot[loads];
#pragma unroll
    for (int r = 0; r < loads; ++r) spot[r] = gather.spot(first + thread / (deep / 4) + r * (threads / (deep / 4)), rows);
    Gather::Tap tap = gather.tap(quad * 4);

    Four<float> taken[loads], weight[loads_b];
    const auto fetch = [&](int column) {
#pragma unroll
      for (int r = 0; r < loads; ++r) {
        const int at = gather.element(spot[r], tap);
        taken[r] = at < 0 ? Four<float>{} : *reinterpret_cast<const Four<float>*>(x + at);
      }
      gather.advance(tap, deep);
#pragma unroll
      for (int r = 0; r < loads_b; ++r) {
        const int at = thread + r * threads, row = column + at / (width / 4), output = first_output + at % (width / 4) * 4;
        const float* const from = weights + static_cast<std::int64_t>(row) * outputs + output;
#pragma unroll
        for (int j = 0; j < 4; ++j) weight[r].lane[j] = at < quads_b && row < columns && output + j < outputs ? from[j] : 0.0f;
      }
    };
    const auto store = [&](int half) {
#pragma unroll
      for (int r = 0; r < loads; ++r) {
        Four<float> to;
#pragma unroll
        for (int j = 0; j < 4; ++j) to.lane[j] = rounded(taken[r].lane[j], dropped);
        *reinterpret_cast<Four<float>*>(a + half * half_a + (thread / (deep / 4) + r * (threads / (deep / 4))) * line_a + quad * 4) = to;
      }
#pragma unroll
      for (int r = 0; r < loads_b; ++r) {
        const int at = thread + r * threads;
        if (at >= quads_b) continue;
        Four<float> to;
#pragma unroll
        for (int j = 0; j < 4; ++j) to.lane[j] = rounded(weight[r].lane[j], dropped);
        *reinterpret_cast<Four<float>*>(b + half * half_b + at / (width / 4) * line_b + at % (width / 4) * 4) = to;
      }
    };

    wmma::fragment<wmma::accumulator, 16, 16, 8, float> sum[2][across_warp];
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < across_warp; ++j) wmma::fill_fragment(sum[i][j], 0.0f);
    fetch(0);
    store(0);
    team.team_barrier();
    int half = 0;
    for (int column = 0; column < columns; column += deep, half = 1 - half) {
      const bool more = column + deep < columns;
      if (more) fetch(column + deep);
#pragma unroll
      for (int k = 0; k < deep; k += 8) {
        wmma::fragment<wmma::matrix_a, 16, 16, 8, wmma::precision::tf32, wmma::row_major> left[2];
#pragma unroll
        for (int i = 0; i < 2; ++i) wmma::load_matrix_sync(left[i], a + half * half_a + (warp * 32 + i * 16) * line_a + k, line_a);
#pragma unroll
        for (int j = 0; j < across_warp; ++j) {
          wmma::fragment<wmma::matrix_b, 16, 16, 8, wmma::precision::tf32, wmma::row_major> right;
          wmma::load_matrix_sync(right, b + half * half_b + k * line_b + j * 16, line_b);
#pragma unroll
          for (int i = 0; i < 2; ++i) wmma::mma_sync(sum[i][j], left[i], right, sum[i][j]);
        }
      }
      if (more) store(1 - half);
      team.team_barrier();
    }

#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < across_warp; ++j) wmma::store_matrix_sync(shared + (warp * 32 + i * 16) * line_b + j * 16, sum[i][j], line_b, wmma::mem_row_major);
    team.team_barrier();
    for (int at = thread; at < pixels * width / 4; at += threads) {
      const int pixel = at / (width / 4), left = at % (width / 4) * 4;
      const std::int64_t row = first + pixel;
      if (row >= rows) continue;
      Four<float> z = *reinterpret_cast<const Four<float>*>(shared + pixel * line_b + left);
      float* const to = y + row * outputs + first_output + left;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const bool there = first_output + left + j < outputs;
        const float v = z.lane[j] + (there && bias != nullptr ? bias[first_output + left + j] : 0.0f);
        z.lane[j] = v < 0 ? slope * v : v;
        if (there && !stores_fours) to[j] = z.lane[j];
      }
      if (stores_fours && first_output + left < outputs) *reinterpret_cast<Four<float>*>(to) = z;
    }
#else
    (void)team, (void)shared;
#endif
  }
};

/// As GatheredWeights, `height` outputs times 64 columns a team of four warps, sixteen pixels at a time.
template <int height>
struct TensorWeights {
  static constexpr int width = 64, deep = 16, threads = 128, line_a = height + 4, line_b = width + 4;
  static constexpr int half_a = deep * line_a, half_b = deep * line_b, shared_elements = std::max(2 * (half_a + half_b), height*line_b);

  Gather gather;
  std::int64_t rows, part_rows;  // part_rows: a multiple of `deep`
  int outputs, down, across, dropped;
  bool dy_in_fours;
  const float *x, *dy;
  float* partial;

  template <class Member>
  KOKKOS_FUNCTION void run(const Member& team, float* shared) const {
#if defined(__CUDA_ARCH__)
    namespace wmma = nvcuda::wmma;
    constexpr int loads = deep * width / 4 / threads, quads_a = deep * height / 4, loads_a = (quads_a + threads - 1) / threads, down_warp = height / 16;
    const int thread = team.team_rank(), warp = thread / 32;
    const std::int64_t tile = team.league_rank(), part = tile / (down * across);
    const int first_output = static_cast<int>(tile / across % down) * height, first_column = static_cast<int>(tile % across) * width;
    const std::int64_t begin = part * part_rows, end = begin + part_rows < rows ? begin + part_rows : rows;
    float *const a = shared, *const b = shared + 2 * half_a;

    const Gather::Tap tap = gather.tap(first_column + thread % (width / 4) * 4);
    Gather::Spot spot[loads];
    int place[loads][3];
#pragma unroll
    for (int r = 0; r < loads; ++r) {
      const std::int64_t row = begin + (thread + r * threads) / (width / 4);
      spot[r] = gather.spot(row, end);
      const auto at = static_cast<std::uint32_t>(row % gather.pixels), tw = static_cast<std::uint32_t>(gather.to[2]),
                 th = static_cast<std::uint32_t>(gather.to[1]);
      place[r][0] = static_cast<int>(at / tw / th), place[r][1] = static_cast<int>(at / tw % th), place[r][2] = static_cast<int>(at % tw);
    }

    Four<float> taken[loads], gradient[loads_a];
    const auto fetch = [&](std::int64_t row) {
#pragma unroll
      for (int r = 0; r < loads; ++r) {
        const int at = gather.element(spot[r], tap);
        taken[r] = at < 0 ? Four<float>{} : *reinterpret_cast<const Four<float>*>(x + at);
        place[r][2] += deep;  // the spot sixteen pixels on
        while (place[r][2] >= gather.to[2]) {
          place[r][2] -= gather.to[2];
          if (++place[r][1] == gather.to[1]) {
            place[r][1] = 0;
            if (++place[r][0] == gather.to[0]) place[r][0] = 0, spot[r].sample += gather.from[0] * gather.from[1] * gather.from[2] * gather.channels;
          }
        }
        gather.put(spot[r], place[r][0], place[r][1], place[r][2]);
        spot[r].there = row + deep + (thread + r * threads) / (width / 4) < end;
      }
#pragma unroll
      for (int r = 0; r < loads_a; ++r) {
        const int at = thread + r * threads, output = first_output + at % (height / 4) * 4;
        const std::int64_t from = row + at / (height / 4);
        const bool there = at < quads_a && from < end;
        if (dy_in_fours) {
          gradient[r] = there && output < outputs ? *reinterpret_cast<const Four<float>*>(dy + from * outputs + output) : Four<float>{};
        } else {
#pragma unroll
          for (int j = 0; j < 4; ++j) gradient[r].lane[j] = there && output + j < outputs ? dy[from * outputs + output + j] : 0.0f;
        }
      }
    };
    const auto store = [&](int half) {
      Four<float> to;
#pragma unroll
      for (int r = 0; r < loads; ++r) {
        const int at = thread + r * threads;
#pragma unroll
        for (int j = 0; j < 4; ++j) to.lane[j] = rounded(taken[r].lane[j], dropped);
        *reinterpret_cast<Four<float>*>(b + half * half_b + at / (width / 4) * line_b + at % (width / 4) * 4) = to;
      }
#pragma unroll
      for (int r = 0; r < loads_a; ++r) {
        const int at = thread + r * threads;
        if (at >= quads_a) continue;
#pragma unroll
        for (int j = 0; j < 4; ++j) to.lane[j] = rounded(gradient[r].lane[j], dropped);
        *reinterpret_cast<Four<float>*>(a + half * half_a + at / (height / 4) * line_a + at % (height / 4) * 4) = to;
      }
    };

    wmma::fragment<wmma::accumulator, 16, 16, 8, float> sum[down_warp];
#pragma unroll
    for (int i = 0; i < down_warp; ++i) wmma::fill_fragment(sum[i], 0.0f);
    fetch(begin);
    store(0);
    team.team_barrier();
    int half = 0;
    for (std::int64_t row = begin; row < end; row += deep, half = 1 - half) {
      const bool more = row + deep < end;
      if (more) fetch(row + deep);
#pragma unroll
      for (int k = 0; k < deep; k += 8) {
        wmma::fragment<wmma::matrix_b, 16, 16, 8, wmma::precision::tf32, wmma::row_major> right;
        wmma::load_matrix_sync(right, b + half * half_b + k * line_b + warp * 16, line_b);
#pragma unroll
        for (int i = 0; i < down_warp; ++i) {
          wmma::fragment<wmma::matrix_a, 16, 16, 8, wmma::precision::tf32, wmma::col_major> left;
          wmma::load_matrix_sync(left, a + half * half_a + k * line_a + i * 16, line_a);
          wmma::mma_sync(sum[i], left, right, sum[i]);
        }
      }
      if (more) store(1 - half);
      team.team_barrier();
    }

#pragma unroll
    for (int i = 0; i < down_warp; ++i) wmma::store_matrix_sync(shared + i * 16 * line_b + warp * 16, sum[i], line_b, wmma::mem_row_major);
    team.team_barrier();
    const int columns = gather.width();
    for (int at = thread; at < height * width; at += threads) {
      const int output = first_output + at / width, column = first_column + at % width;
      if (output < outputs && column < columns) partial[(part * outputs + output) * columns + column] = shared[at / width * line_b + at % width];
    }
#else
    (void)team, (void)shared;
#endif
  }
};

}  // namespace trireme::detail

#endif
