#include "data/window_plan.hpp"

#include <algorithm>
#include <utility>

#include "made_shards.hpp"

using namespace trireme;

namespace {

/// Rows of each batch of the window that this rank's plan leads to.
std::vector<std::vector<std::int64_t>> rows_by_batch(const WindowPlan& plan) {
  std::vector<std::int64_t> rows;
  for (const RowRun& run : plan.runs)
    for (std::int64_t i = 0; i < run.count; ++i) rows.push_back(run.first + i);
  std::vector<std::vector<std::int64_t>> result;
  std::vector<std::int64_t> used(rows.size(), 0);
  for (std::int64_t b = 0; b < plan.batches; ++b) {
    auto& batch = result.emplace_back();
    for (const std::int64_t place : plan.places_of(b)) {
      batch.push_back(rows.at(static_cast<std::size_t>(place)));
      ++used[static_cast<std::size_t>(place)];
    }
  }
  BOOST_TEST(std::count(used.begin(), used.end(), 1) == static_cast<std::ptrdiff_t>(used.size()), "each row is used once");
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(window_plan)

BOOST_AUTO_TEST_CASE(shares_of_all_ranks_make_the_samplers_batches) {
  RandomStream random(21);
  const auto up_to = [&](std::uint64_t n) { return 1 + static_cast<std::int64_t>(random.below(n)); };
  for (int trial = 0; trial < 60; ++trial) {
    const auto starts = test::starts_of(test::random_sizes(random, 10, 150));
    const std::int64_t size = starts.back(), batch = up_to(40), epoch = up_to(5);
    const auto draw = Sampler::Draw{static_cast<int>(random.below(3))};
    const Sampler sampler(starts, batch, up_to(50), up_to(300), random.bits64(), draw);
    for (const int ranks : {1, 2, 3, 4, 8}) {
      std::vector<std::int64_t> counts(static_cast<std::size_t>(ranks), 0);
      for (std::int64_t i = 0; i < batch; ++i) ++counts[random.below(static_cast<std::uint64_t>(ranks))];
      const bool even = random.below(2) == 0;
      const Shares shares = even ? Shares(ranks) : Shares(counts);
      std::vector<Planner> planners;
      for (int r = 0; r < ranks; ++r) planners.emplace_back(sampler, size, batch, r, ranks, even ? 0 : counts[static_cast<std::size_t>(r)]);
      for (std::int64_t w = 0; w < sampler.windows(); ++w) {
        const auto want = sampler.window(epoch, w);
        std::vector<std::vector<std::int64_t>> got(want.size());
        for (Planner& planner : planners) {
          WindowPlan plan, direct;
          planner.plan(epoch, w, false, shares, plan);
          planner.plan(epoch, w, true, shares, direct);
          BOOST_REQUIRE(plan.batches == static_cast<std::int64_t>(want.size()));
          BOOST_TEST(plan.begin.back() <= planner.most_rows());
          const auto mine = rows_by_batch(plan);
          for (std::size_t b = 0; b < mine.size(); ++b) {
            const auto about = planner.size_of_batch(w * planner.batches_per_window() + static_cast<std::int64_t>(b), shares);
            BOOST_TEST(about.global_count == static_cast<std::int64_t>(want[b].size()));
            BOOST_TEST(about.first == static_cast<std::int64_t>(got[b].size()));
            BOOST_TEST(about.count == static_cast<std::int64_t>(mine[b].size()));
            BOOST_TEST(about.count <= planner.largest_share());
            const auto rows = direct.places_of(static_cast<std::int64_t>(b));
            BOOST_TEST(std::equal(rows.begin(), rows.end(), want[b].begin(), want[b].end()));
            got[b].insert(got[b].end(), mine[b].begin(), mine[b].end());
          }
        }
        BOOST_TEST((got == want));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(uneven_shares_tile_every_batch_and_keep_to_their_counts) {
  RandomStream random(24);
  for (int trial = 0; trial < 500; ++trial) {
    const auto parts = 1 + static_cast<int>(random.below(9));
    std::vector<std::int64_t> counts;
    std::int64_t whole = 0;
    for (int r = 0; r < parts; ++r) whole += counts.emplace_back(static_cast<std::int64_t>(random.below(trial % 2 ? 7 : 1 << 28)));
    if (whole == 0) continue;
    const Shares shares(counts);
    const auto n = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(whole) + 1));
    std::int64_t next = 0;
    for (int r = 0; r < parts; ++r) {
      const Share share = shares.of(n, r);
      const auto count = counts[static_cast<std::size_t>(r)];
      BOOST_TEST(share.first == next);
      BOOST_TEST(share.count <= count);
      BOOST_TEST(std::abs(static_cast<double>(share.count) - static_cast<double>(n) * static_cast<double>(count) / static_cast<double>(whole)) < 1 + 1e-6 * n);
      BOOST_TEST(shares.of(whole, r).count == count);
      next += share.count;
    }
    BOOST_TEST(next == n);
  }
}

BOOST_AUTO_TEST_CASE(ranks_read_blocks) {
  // What a rank reads of a window lies side by side but for the gaps between chunks, however many ranks there are.
  const std::int64_t size = 20000, batch = 500, chunk = 100, window = 5000;
  const Sampler sampler({0, size}, batch, chunk, window, 4);
  for (const int ranks : {1, 4, 100, 500})
    for (const int rank : {0, ranks / 2, ranks - 1}) {
      Planner planner(sampler, size, batch, rank, ranks);
      for (std::int64_t w = 0; w < planner.windows(); ++w) {
        WindowPlan plan;
        planner.plan(0, w, false, Shares(ranks), plan);
        BOOST_TEST(plan.begin.back() == window / ranks);
        BOOST_TEST(static_cast<std::int64_t>(plan.runs.size()) <= window / ranks / chunk + 2);
      }
    }
}

BOOST_AUTO_TEST_CASE(sequential_blocks_cover_all_rows_in_order) {
  RandomStream random(22);
  const auto up_to = [&](std::uint64_t n) { return 1 + static_cast<std::int64_t>(random.below(n)); };
  for (int trial = 0; trial < 200; ++trial) {
    const std::int64_t size = up_to(300), batch = up_to(40), window = up_to(200);
    const int ranks = static_cast<int>(up_to(9));
    std::vector<std::int64_t> all;
    std::vector<std::int64_t> of_batch(static_cast<std::size_t>(size) + 1, 0);
    std::int64_t most = 0;
    for (int r = 0; r < ranks; ++r) {
      Planner planner(size, batch, window, r, ranks);
      std::int64_t index = 0, mine = 0;
      for (std::int64_t w = 0; w < planner.windows(); ++w) {
        WindowPlan plan;
        planner.plan(0, w, false, Shares(ranks), plan);
        BOOST_TEST(plan.begin.back() <= planner.most_rows());
        for (const auto& rows : rows_by_batch(plan)) {
          const auto about = planner.size_of_batch(index, Shares(ranks));
          BOOST_TEST(about.count == static_cast<std::int64_t>(rows.size()));
          BOOST_TEST(about.first == of_batch[static_cast<std::size_t>(index)]);
          BOOST_TEST(about.count <= planner.largest_share());
          of_batch[static_cast<std::size_t>(index)] += about.count;
          all.insert(all.end(), rows.begin(), rows.end());
          if (!rows.empty()) mine = index + 1;
          ++index;
        }
      }
      BOOST_TEST(index == planner.batches());
      most = std::max(most, mine);
    }
    const Planner any(size, batch, window, 0, ranks);
    BOOST_TEST(any.batches() == most);
    for (std::int64_t b = 0; b < most; ++b) BOOST_TEST(any.size_of_batch(b, Shares(ranks)).global_count == of_batch[static_cast<std::size_t>(b)]);
    BOOST_REQUIRE(static_cast<std::int64_t>(all.size()) == size);
    for (std::int64_t row = 0; row < size; ++row) BOOST_REQUIRE(all[static_cast<std::size_t>(row)] == row);
  }
}

BOOST_AUTO_TEST_SUITE_END()
