// One functor, two launch policies. A thread of the host takes a run of neighboring elements, so that its inner loop vectorizes and indices are divided
// once per run; a thread of a device takes one element, and neighboring threads take neighboring elements. The functor gets the run and loops over it.
//
//   for_rows      rows x columns      host: up to 4096 columns of one row    device: one element
//   for_ranges    [first, last) each  host: a whole range                    device: a team of threads, one element each
//   for_sums      the same, summed    host: in order                         device: a reduction of the team
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme::detail {

KOKKOS_INLINE_FUNCTION std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

/// f(row, first column, columns) for all elements of a matrix.
template <class F>
void for_rows(const Execution& exec, const char* label, std::int64_t rows, std::int64_t columns, const F& f) {
  if constexpr (on_host) {
    constexpr std::int64_t longest = 4096;
    if (columns <= longest)
      return Kokkos::parallel_for(
          label, Range(exec, 0, rows), KOKKOS_LAMBDA(std::int64_t row) { f(row, std::int64_t{0}, columns); });
    const std::int64_t runs = (columns + longest - 1) / longest;
    Kokkos::parallel_for(
        label, Range(exec, 0, rows * runs), KOKKOS_LAMBDA(std::int64_t i) {
          const std::int64_t first = i % runs * longest;
          f(i / runs, first, least(longest, columns - first));
        });
  } else if (rows * columns < std::int64_t{1} << 32) {  // a division of 64 bits takes longer than the memory
    const auto width = static_cast<std::uint32_t>(columns);
    Kokkos::parallel_for(
        label, Range(exec, 0, rows * columns), KOKKOS_LAMBDA(std::int64_t i) {
          const auto at = static_cast<std::uint32_t>(i);
          f(static_cast<std::int64_t>(at / width), static_cast<std::int64_t>(at % width), std::int64_t{1});
        });
  } else {
    Kokkos::parallel_for(
        label, Range(exec, 0, rows * columns), KOKKOS_LAMBDA(std::int64_t i) { f(i / columns, i % columns, std::int64_t{1}); });
  }
}

struct IndexRange {
  std::int64_t first, last;
};

/// f(item, first, last) for the elements of range(item), an IndexRange, of each of `items` items.
template <class Bounds, class F>
void for_ranges(const Execution& exec, const char* label, std::int64_t items, const Bounds& range, const F& f) {
  if constexpr (on_host)
    Kokkos::parallel_for(
        label, Range(exec, 0, items), KOKKOS_LAMBDA(std::int64_t item) {
          const IndexRange all = range(item);
          f(item, all.first, all.last);
        });
  else if (items > 0)
    Kokkos::parallel_for(
        label, Team(exec, static_cast<int>(items), Kokkos::AUTO), KOKKOS_LAMBDA(const Team::member_type& team) {
          const std::int64_t item = team.league_rank();
          const IndexRange all = range(item);
          Kokkos::parallel_for(Kokkos::TeamThreadRange(team, all.last - all.first), [&](std::int64_t i) { f(item, all.first + i, all.first + i + 1); });
        });
}

/// give(item, sum over range(item) of value(item, i)) for each item, in double.
template <class Bounds, class Value, class Give>
void for_sums(const Execution& exec, const char* label, std::int64_t items, const Bounds& range, const Value& value, const Give& give) {
  if constexpr (on_host)
    Kokkos::parallel_for(
        label, Range(exec, 0, items), KOKKOS_LAMBDA(std::int64_t item) {
          const IndexRange all = range(item);
          double total = 0;
          for (std::int64_t i = all.first; i < all.last; ++i) total += value(item, i);
          give(item, total);
        });
  else if (items > 0)
    Kokkos::parallel_for(
        label, Team(exec, static_cast<int>(items), 256), KOKKOS_LAMBDA(const Team::member_type& team) {
          const std::int64_t item = team.league_rank();
          const IndexRange all = range(item);
          double total = 0;
          Kokkos::parallel_reduce(
              Kokkos::TeamThreadRange(team, all.last - all.first), [&](std::int64_t i, double& sum) { sum += value(item, all.first + i); }, total);
          Kokkos::single(Kokkos::PerTeam(team), [&] { give(item, total); });
        });
}

}  // namespace trireme::detail
