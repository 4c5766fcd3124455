// Sums down the columns of a matrix with contiguous rows, on a device: a team of threads holds a block of rows of up to 32 neighboring columns, so that
// a warp reads memory that lies together. The host has tiles of its own (columns.hpp).
#pragma once

#include <algorithm>

#include "kokkos_kernels/types.hpp"

namespace trireme::detail {

/// How `rows` x `columns` is cut into teams: depends on the shape alone, and so do the bits of a sum.
struct ColumnTeams {
  static constexpr int threads = 256;
  static constexpr std::int64_t most = 512, least_rows = 4;  // teams in all (or one a block of columns); rows of a thread

  std::int64_t rows, columns, height, down, across;
  int width = 1;  // columns of a team, a power of two

  ColumnTeams(std::int64_t r, std::int64_t c) : rows(r), columns(c) {
    while (width < 32 && width < columns) width *= 2;
    across = (columns + width - 1) / width;
    height = std::max((rows + most_down() - 1) / most_down(), least_rows * deep());
    down = (rows + height - 1) / height;
  }
  /// One team a block of columns, whatever the rows.
  static ColumnTeams whole(std::int64_t r, std::int64_t c) {
    ColumnTeams teams(r, c);
    teams.height = std::max<std::int64_t>(r, 1), teams.down = 1;
    return teams;
  }
  std::int64_t deep() const { return threads / width; }  // rows that a team reads at once
  std::int64_t most_down() const { return std::max<std::int64_t>(most / across, 1); }
  /// No fewer than `down` of this or fewer rows.
  std::int64_t down_limit() const { return std::min(most_down(), (rows + least_rows * deep() - 1) / (least_rows * deep())); }
};

/// For `instances` matrices: take(instance, column, first, step, last, sums) makes one thread's K sums, of the rows first, first + step, ... < last of its
/// column, and give(instance, block, column, sums) gets the team's.
template <int K, class Take, class Give>
void for_column_sums(const Execution& exec, const char* label, const ColumnTeams& teams, std::int64_t instances, const Take& take, const Give& give) {
  using Shared = Kokkos::View<double*, Execution::scratch_memory_space, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
  constexpr int threads = ColumnTeams::threads;
  const std::int64_t rows = teams.rows, columns = teams.columns, height = teams.height, down = teams.down, across = teams.across;
  const int width = teams.width, deep = threads / width;
  if (instances * down * across == 0) return;
  const Team policy = Team(exec, static_cast<int>(instances * down * across), threads).set_scratch_size(0, Kokkos::PerTeam(Shared::shmem_size(K * threads)));
  Kokkos::parallel_for(
      label, policy, KOKKOS_LAMBDA(const Team::member_type& team) {
        const Shared shared(team.team_shmem(), K * threads);
        const std::int64_t at = team.league_rank(), instance = at / (down * across), block = at / across % down;
        const int thread = team.team_rank(), row = thread / width;
        const std::int64_t column = at % across * width + thread % width;
        const std::int64_t first = block * height, last = first + height < rows ? first + height : rows;
        double sums[K] = {};
        if (column < columns && first + row < last) take(instance, column, first + row, deep, last, sums);
        for (int k = 0; k < K; ++k) shared(k * threads + thread) = sums[k];
        for (int half = deep / 2; half > 0; half /= 2) {
          team.team_barrier();
          if (row < half)
            for (int k = 0; k < K; ++k) shared(k * threads + thread) += shared(k * threads + thread + half * width);
        }
        if (row > 0 || column >= columns) return;
        for (int k = 0; k < K; ++k) sums[k] = shared(k * threads + thread);
        give(instance, block, column, sums);
      });
}

/// give(column, sums) gets the K sums of partial((block * K + k) * columns + column) over the blocks.
template <int K, class Give>
void for_block_sums(const Execution& exec, const char* label, std::int64_t blocks, std::int64_t columns, Span<const double> partial, const Give& give) {
  if (columns == 0) return;
  Kokkos::parallel_for(
      label, Team(exec, static_cast<int>(columns), 128), KOKKOS_LAMBDA(const Team::member_type& team) {
        const std::int64_t column = team.league_rank();
        double sums[K] = {};
        for (int k = 0; k < K; ++k)
          Kokkos::parallel_reduce(
              Kokkos::TeamThreadRange(team, blocks), [&](std::int64_t block, double& sum) { sum += partial((block * K + k) * columns + column); }, sums[k]);
        Kokkos::single(Kokkos::PerTeam(team), [&] { give(column, sums); });
      });
}

/// f(element, its column) for all elements of a matrix.
template <class F>
void for_matrix(const Execution& exec, const char* label, std::int64_t rows, std::int64_t columns, const F& f) {
  const std::int64_t count = rows * columns;
  if (count < std::int64_t{1} << 32) {  // a division of 64 bits takes longer than the memory
    const auto width = static_cast<std::uint32_t>(columns);
    Kokkos::parallel_for(
        label, Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) { f(i, static_cast<std::uint32_t>(i) % width); });
  } else {
    Kokkos::parallel_for(
        label, Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) { f(i, i % columns); });
  }
}

}  // namespace trireme::detail
