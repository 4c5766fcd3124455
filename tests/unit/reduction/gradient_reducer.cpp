// Reductions over ranks in buckets: for all cuts and sizes the arena ends as the sum over all ranks.
#include "reduction/gradient_reducer.hpp"

#include <fmt/ranges.h>

#include <boost/test/unit_test.hpp>

#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

// Whole numbers, so that sums are exact in any order.
template <class T>
T contribution(int rank, std::int64_t step, std::int64_t i) {
  return static_cast<T>((i * 7 + step * 13) % 101 * (rank + 1) - 50);
}

struct Drawn {
  std::int64_t size;
  std::vector<std::int64_t> cuts;
  std::int64_t bucket_bytes;
};

Drawn draw_arena(RandomStream& random) {
  Drawn d{draw(random, 1, random.below(2) ? 40 : 4000), {}, pick<std::int64_t>(random, {0, 1, 64, 1000, 1 << 30})};
  for (std::int64_t cut = draw(random, 0, 12); cut > 0; --cut) d.cuts.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(d.size))));
  if (random.below(3)) d.cuts.push_back(0);
  return d;
}

// Elements [first, end) become this rank's. Other elements are not touched, because they may be in flight.
template <class T>
void write_range(const Guarded<T>& arena, std::int64_t first, std::int64_t end, int rank, std::int64_t step) {
  if (first >= end) return;
  std::vector<T> values;
  for (std::int64_t i = first; i < end; ++i) values.push_back(contribution<T>(rank, step, i));
  const Guarded<T> from(values);
  Kokkos::deep_copy(slice<T>(arena.span(), first, end - first), from.span());
}

template <class T>
void check(const Drawn& d, RandomStream& random) {
  const Communicator world = Communicator::world();
  Guarded<T> arena(d.size);
  const Execution exec;
  GradientReducer<T> reducer(world, arena, d.cuts, {.bucket_bytes = d.bucket_bytes});
  BOOST_TEST(reducer.bytes() == d.size * static_cast<std::int64_t>(sizeof(T)));
  const std::int64_t elements = std::max<std::int64_t>(1, d.bucket_bytes / static_cast<std::int64_t>(sizeof(T)));
  BOOST_TEST(static_cast<std::int64_t>(reducer.buckets()) <= d.size / elements + 1);  // all but the last are full
  auto order = d.cuts;
  std::sort(order.begin(), order.end(), std::greater<>());
  for (std::int64_t step = 0; step < 3; ++step) {
    // Elements that are not announced yet are NaN: sent too early they would stay NaN. Some announcements are omitted, because finish() must replace them.
    arena.spoil();
    std::int64_t end = d.size;
    for (const std::int64_t cut : order) {
      if (random.below(4) == 0) continue;
      write_range(arena, cut, end, world.rank(), step);
      end = cut;
      reducer.ready(exec, cut);
    }
    write_range(arena, 0, end, world.rank(), step);
    reducer.finish(exec);
    std::vector<T> expected;
    for (std::int64_t i = 0; i < d.size; ++i) {
      T total{};
      for (int rank = 0; rank < world.size(); ++rank) total += contribution<T>(rank, step, i);
      expected.push_back(total);
    }
    BOOST_TEST(distance(arena.values(), expected) == 0.0, "step " << step);
    BOOST_TEST(arena.guards_hold());
  }
  BOOST_TEST(reducer.exposed_seconds() >= 0.0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gradient_reducer)

BOOST_AUTO_TEST_CASE(gives_the_sum_of_all_ranks) {
  // All ranks use the same random cases, because they must have the same buckets.
  for (std::uint64_t i = 0; i < 16; ++i) {
    RandomStream random(test_seed(), i);
    const Drawn d = draw_arena(random);
    BOOST_TEST_CONTEXT("seed " << test_seed() << " case " << i << ": " << d.size << " elements, buckets of " << d.bucket_bytes << " bytes, cuts "
                               << fmt::format("{}", fmt::join(d.cuts, ","))) {
      check<float>(d, random);
      check<double>(d, random);
    }
  }
}

// Ranks reach their layers at different times; the order of the buckets is what must agree.
BOOST_AUTO_TEST_CASE(ranks_may_announce_differently) {
  const Communicator world = Communicator::world();
  for (std::uint64_t i = 0; i < 6; ++i) {
    RandomStream common(test_seed(), 100 + i), own(test_seed(), 1000 * (i + 1) + static_cast<std::uint64_t>(world.rank()));
    const Drawn d = draw_arena(common);
    BOOST_TEST_CONTEXT("seed " << test_seed() << " case " << i) { check<double>(d, own); }
  }
}

// Sums of real numbers depend on their order. Every rank must hold the same bits, otherwise models diverge.
BOOST_AUTO_TEST_CASE(all_ranks_hold_the_same_bits) {
  const Communicator world = Communicator::world();
  RandomStream random(test_seed(), 500 + static_cast<std::uint64_t>(world.rank()));
  const std::int64_t size = 5003;
  const Guarded<float> arena(random_numbers<float>(random, size));
  GradientReducer<float> reducer(world, arena, {0, 1000, 1001, 4000}, {.bucket_bytes = 4096});
  for (const std::int64_t cut : {4000, 1001, 1000, 0}) reducer.ready(Execution(), cut);
  reducer.finish(Execution());
  const auto mine = arena.values();
  const auto all = world.all_gather(std::span<const float>(mine));
  for (int rank = 0; rank < world.size(); ++rank)
    BOOST_TEST(same_bits(mine, std::vector<float>(all.begin() + rank * size, all.begin() + (rank + 1) * size)), "rank " << rank << " differs");
}

BOOST_AUTO_TEST_CASE(small_buckets_follow_every_cut) {
  const Guarded<double> arena(std::vector<double>(100));
  const Communicator world = Communicator::world();
  BOOST_TEST(GradientReducer<double>(world, arena, {0, 30, 70}, {.bucket_bytes = 1}).buckets() == 3u);
  BOOST_TEST(GradientReducer<double>(world, arena, {70, 30}, {.bucket_bytes = 1}).buckets() == 3u);  // the arena's beginning is always covered
  BOOST_TEST(GradientReducer<double>(world, arena, {0, 30, 70}, {.bucket_bytes = 1 << 20}).buckets() == 1u);
  BOOST_TEST(GradientReducer<double>(world, arena, {}, {.bucket_bytes = 1}).buckets() == 1u);
  BOOST_TEST(GradientReducer<double>(world, arena, {0, 30, 70}, {.bucket_bytes = 8 * 50}).buckets() == 2u);  // 70 would be too small, 30 is not
}

BOOST_AUTO_TEST_SUITE_END()
