// The reduction tree of virtual ranks, and sums that are bitwise identical for every assignment of virtual ranks to ranks.
#include <boost/test/unit_test.hpp>

#include "base/share.hpp"
#include "reduction/gradient_reducer.hpp"
#include "support/arrays.hpp"
#include "support/counted_mpi.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

VirtualRankRange lanes_of_rank(std::int64_t virtual_ranks, int rank, int ranks) {
  const Share own = share_of(virtual_ranks, rank, ranks);
  return {own.first, own.first + own.count};
}

/// The gradient of a virtual rank: numbers whose sums depend on the order.
std::vector<float> gradient(std::int64_t virtual_rank, std::int64_t step, std::int64_t size) {
  RandomStream random(test_seed() + static_cast<std::uint64_t>(step), 7000 + static_cast<std::uint64_t>(virtual_rank));
  return random_numbers<float>(random, size);
}

/// The tree, as the definition has it.
std::vector<float> sum_of(const VirtualRankRange& node, std::int64_t step, std::int64_t size) {
  const std::int64_t virtual_ranks = node.last - node.first;
  if (virtual_ranks == 1) return gradient(node.first, step, size);
  std::int64_t half = 1;
  while (2 * half < virtual_ranks) half *= 2;
  std::vector<float> left = sum_of({node.first, node.first + half}, step, size);
  const std::vector<float> right = sum_of({node.first + half, node.last}, step, size);
  for (std::size_t i = 0; i < left.size(); ++i) left[i] += right[i];
  return left;
}

void write(const Guarded<float>& arena, std::int64_t first, std::int64_t last, const std::vector<float>& values) {
  const Guarded<float> from(std::vector<float>(values.begin() + first, values.begin() + last));
  Kokkos::deep_copy(slice<float>(arena.span(), first, last - first), from.span());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(virtual_ranks)

BOOST_AUTO_TEST_CASE(nodes_tile_a_range_and_are_few) {
  for (std::int64_t virtual_ranks = 1; virtual_ranks <= 33; ++virtual_ranks) {
    const ReductionTree tree(virtual_ranks);
    for (std::int64_t first = 0; first < virtual_ranks; ++first)
      for (std::int64_t last = first + 1; last <= virtual_ranks; ++last) {
        const auto nodes = tree.nodes_of({first, last});
        std::int64_t at = first, depth = 0;
        for (const VirtualRankRange& node : nodes) {
          BOOST_TEST((node.first == at && node.first < node.last));
          at = node.last;
        }
        BOOST_TEST(at == last);
        while ((std::int64_t{1} << depth) < virtual_ranks) ++depth;
        BOOST_TEST(static_cast<std::int64_t>(nodes.size()) <= std::max<std::int64_t>(1, 2 * depth));
        const VirtualRankSchedule schedule(tree, {first, last});
        BOOST_TEST((schedule.nodes() == nodes), "the schedule of [" << first << ", " << last << ") of " << virtual_ranks << " ends with other nodes");
        BOOST_TEST(schedule.slots() <= depth + static_cast<std::int64_t>(nodes.size()));
      }
  }
}

BOOST_AUTO_TEST_CASE(equal_shares_of_powers_of_two_are_single_nodes) {
  for (const int ranks : {1, 2, 4, 8, 16})
    for (int rank = 0; rank < ranks; ++rank) BOOST_TEST(ReductionTree(16).nodes_of(lanes_of_rank(16, rank, ranks)).size() == 1u);
}

BOOST_AUTO_TEST_CASE(additions_must_cover_all_virtual_ranks) {
  const ReductionTree tree(6);  // ((0 1)(2 3))(4 5)
  BOOST_TEST(tree.additions({{0, 6}}).empty());
  BOOST_TEST((tree.additions({{0, 2}, {2, 3}, {3, 4}, {4, 6}}).size() == 3u));
  BOOST_TEST((tree.additions({{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 6}}).size() == 4u));
  BOOST_CHECK_THROW(tree.additions({{0, 4}}), Error);
  BOOST_CHECK_THROW(tree.additions({{0, 3}, {3, 6}}), Error);
  BOOST_CHECK_THROW(tree.additions({}), Error);
}

// On each number of ranks of this test, the same bits as the definition.
BOOST_AUTO_TEST_CASE(sums_are_those_of_the_tree) {
  const Communicator world = Communicator::world();
  const Execution exec;
  for (std::uint64_t i = 0; i < 40; ++i) {
    RandomStream common(test_seed(), i);
    const std::int64_t virtual_ranks = draw(common, world.size(), 13), parts = draw(common, 1, 2), size = draw(common, 1, 3000),
                       gradients = common.below(2) ? size : draw(common, 0, size);
    if (world.size() % parts != 0 || virtual_ranks < world.size() / parts) continue;
    const int ranks_of_part = world.size() / static_cast<int>(parts);
    ReduceOptions options{
        .bucket_bytes = pick<std::int64_t>(common, {1, 100, 1 << 20}), .gradients = gradients, .shard = common.below(2) == 0 && gradients > 0};
    // As in a reduction group: ranks with parts of the pixels of one share of the batch are neighbors.
    for (int r = 0; r < world.size(); ++r) {
      const VirtualRankRange own = lanes_of_rank(virtual_ranks, r / static_cast<int>(parts), ranks_of_part);
      const std::int64_t part = r % parts;
      options.virtual_ranks.push_back({part * virtual_ranks + own.first, part * virtual_ranks + own.last});
    }
    const std::vector<std::int64_t> cuts{0, gradients / 3, gradients / 2};
    const Guarded<float> arena(std::vector<float>(static_cast<std::size_t>(size)));
    GradientReducer<float> reducer(world, arena, cuts, options);
    const VirtualRankRange own = options.virtual_ranks[static_cast<std::size_t>(world.rank())];
    BOOST_TEST_CONTEXT("seed " << test_seed() << " case " << i << ": " << virtual_ranks << " virtual ranks, " << parts << " parts, " << size << " elements, "
                               << gradients << " gradients, shard " << options.shard) {
      for (std::int64_t step = 0; step < 3; ++step) {
        for (std::int64_t virtual_rank = own.first; virtual_rank + 1 < own.last; ++virtual_rank) {
          write(arena, 0, size, gradient(virtual_rank, step, size));
          reducer.end_lane(exec);
          exec.fence();
          BOOST_TEST(distance(arena.values(), std::vector<float>(static_cast<std::size_t>(size))) == 0.0);
        }
        const auto last = gradient(own.last - 1, step, size);
        write(arena, gradients / 2, size, last);
        reducer.ready(exec, gradients / 2);
        write(arena, 0, gradients / 2, last);
        if (step != 1) reducer.ready(exec, 0);
        reducer.finish(exec);
        exec.fence();
        const auto expected = sum_of({0, virtual_ranks * parts}, step, size), found = arena.values();
        for (const ZeroPartition::Range& range : reducer.shards().owned())
          BOOST_TEST(std::equal(found.begin() + range.first, found.begin() + range.last, expected.begin() + range.first), "step " << step);
        BOOST_TEST(std::equal(found.begin() + gradients, found.end(), expected.begin() + gradients), "step " << step << ", behind the gradients");
        if (!options.shard) BOOST_TEST(same_bits(found, expected), "step " << step);
        const std::vector<float> zeros(static_cast<std::size_t>(size));
        write(arena, 0, size, zeros);
      }
    }
  }
}

// (k + 1)(p - 1)/p times the gradients and the numbers after them, if parts are even: k nodes are sent, and the sums are gathered.
BOOST_AUTO_TEST_CASE(messages_and_bytes_are_those_of_the_formulas) {
  const Communicator world = Communicator::world();
  if (world.size() == 1) return;
  const std::int64_t gradients = 4000, control = 20, size = gradients + control;
  const Guarded<float> arena(std::vector<float>(static_cast<std::size_t>(size)));
  const Execution exec;
  for (const bool shard : {false, true})
    for (const std::int64_t virtual_ranks : {8, 5}) {
      ReduceOptions options{.bucket_bytes = 6000, .gradients = gradients, .shard = shard};
      std::int64_t rounds = 0;
      for (int r = 0; r < world.size(); ++r) {
        options.virtual_ranks.push_back(lanes_of_rank(virtual_ranks, r, world.size()));
        rounds = std::max(rounds, options.nodes_of(r));
      }
      GradientReducer<float> reducer(world, arena, {0, 1600, 3200}, options);
      const std::vector<std::int64_t> bounds = shard ? std::vector<std::int64_t>{0, 1600, gradients, size} : std::vector<std::int64_t>{0, 1600, size};
      const auto n = static_cast<std::int64_t>(reducer.buckets());
      BOOST_REQUIRE(n == static_cast<std::int64_t>(bounds.size()) - 1);
      const std::int64_t own = ZeroPartition(bounds, world.size(), world.rank()).size(), own_values = reducer.shards().size(),
                         nodes = options.nodes_of(world.rank());
      const VirtualRankRange mine = options.virtual_ranks[static_cast<std::size_t>(world.rank())];
      const CountedMpi counted;
      for (std::int64_t virtual_rank = mine.first; virtual_rank + 1 < mine.last; ++virtual_rank) reducer.end_lane(exec);
      for (const std::int64_t cut : {3200, 1600, 0}) reducer.ready(exec, cut);
      reducer.finish(exec);
      reducer.begin_gather(exec, slice<float>(arena.span(), 0, gradients));
      reducer.finish_gather(exec);
      std::int64_t calls = 0;
      for (const auto& [what, count] : counted.all()) calls += count.calls;
      const auto is = [&](const char* name, const char* call, std::int64_t expected_calls, std::int64_t expected_bytes) {
        BOOST_TEST(counted.of(name, call).calls == expected_calls, name << " " << call << " of shard " << shard << ", " << virtual_ranks << " virtual ranks");
        BOOST_TEST(counted.of(name, call).bytes == expected_bytes, name << " " << call << " of shard " << shard << ", " << virtual_ranks << " virtual ranks");
        calls -= expected_calls;
      };
      is("data: gradients", "Ialltoallv", rounds * n, nodes * (size - own) * 4);
      is("data: sums", "Iallgatherv", shard ? 1 : n, (shard ? own - own_values : own) * 4);
      if (shard) is("data: values", "Iallgatherv", n - 1, own_values * 4);
      BOOST_TEST(calls == 0, "other messages were sent");
      CommunicationReport report;
      reducer.report(report);
      const double others = world.size() - 1;
      const double expected = 4.0 * (static_cast<double>(nodes * (size - own)) + others * static_cast<double>(shard ? own - own_values : own));
      BOOST_TEST(std::abs(report.lines()[0].bytes - expected) < 1e-6);
    }
}

BOOST_AUTO_TEST_SUITE_END()
