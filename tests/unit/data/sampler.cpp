#include "data/sampler.hpp"

#include <algorithm>
#include <set>

#include "made_shards.hpp"

using namespace trireme;

namespace {

using Batches = std::vector<std::vector<std::int64_t>>;

Batches epoch_of(const Sampler& sampler, std::int64_t epoch) {
  Batches all;
  for (std::int64_t w = 0; w < sampler.windows(); ++w)
    for (auto& batch : sampler.window(epoch, w)) all.push_back(std::move(batch));
  return all;
}

struct Case {
  std::vector<std::int64_t> starts;
  std::int64_t batch, chunk, window;
  Sampler::Draw draw;
  Sampler sampler(std::uint64_t seed) const { return Sampler(starts, batch, chunk, window, seed, draw); }
};

Case random_case(RandomStream& random) {
  Case c;
  c.starts = test::starts_of(test::random_sizes(random, 12, 200));
  const auto up_to = [&](std::int64_t n) { return 1 + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(n))); };
  c.batch = up_to(50), c.chunk = up_to(60), c.window = up_to(400);
  c.draw = Sampler::Draw{static_cast<int>(random.below(3))};
  return c;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sampler)

BOOST_AUTO_TEST_CASE(every_row_once_an_epoch_in_batches_of_full_size) {
  RandomStream random(1);
  for (int trial = 0; trial < 200; ++trial) {
    const Case c = random_case(random);
    const Sampler sampler = c.sampler(random.bits64());
    const std::int64_t size = c.starts.back();
    const Batches batches = epoch_of(sampler, trial);
    BOOST_REQUIRE(static_cast<std::int64_t>(batches.size()) == sampler.batches());
    BOOST_TEST(sampler.batches() == (size + c.batch - 1) / c.batch);
    std::vector<std::int64_t> all;
    for (std::size_t b = 0; b < batches.size(); ++b) {
      const auto want = std::min(c.batch, size - static_cast<std::int64_t>(b) * c.batch);
      BOOST_TEST(static_cast<std::int64_t>(batches[b].size()) == want);
      BOOST_TEST(std::is_sorted(batches[b].begin(), batches[b].end()));
      all.insert(all.end(), batches[b].begin(), batches[b].end());
    }
    std::sort(all.begin(), all.end());
    BOOST_REQUIRE(static_cast<std::int64_t>(all.size()) == size);
    for (std::int64_t row = 0; row < size; ++row) BOOST_REQUIRE(all[static_cast<std::size_t>(row)] == row);
  }
}

BOOST_AUTO_TEST_CASE(windows_are_whole_batches_of_few_chunks) {
  RandomStream random(2);
  for (int trial = 0; trial < 100; ++trial) {
    const Case c = random_case(random);
    const Sampler sampler = c.sampler(7);
    const std::int64_t per_window = sampler.batches_per_window();
    BOOST_TEST(per_window == std::min((c.window + c.batch - 1) / c.batch, sampler.batches()));
    BOOST_TEST(sampler.windows() == (sampler.batches() + per_window - 1) / per_window);
    Sampler::Window window;
    for (std::int64_t w = 0; w < sampler.windows(); ++w) {
      sampler.window(0, w, window);
      std::int64_t rows = 0;
      std::set<std::pair<std::size_t, std::int64_t>> chunks;  // shard, chunk within
      for (const RowRun& run : window.runs) {
        rows += run.count;
        for (std::int64_t row = run.first; row < run.first + run.count; ++row) {
          const auto shard = static_cast<std::size_t>(std::upper_bound(c.starts.begin(), c.starts.end(), row) - c.starts.begin() - 1);
          chunks.insert({shard, (row - c.starts[shard]) / c.chunk});
        }
      }
      BOOST_TEST(static_cast<std::size_t>(rows) == window.batch.size());
      // All of its chunks are whole but the first and the last (in the shuffled order).
      std::int64_t partial = 0;
      for (const auto& [shard, number] : chunks) {
        const std::int64_t first = c.starts[shard] + number * c.chunk, end = std::min(first + c.chunk, c.starts[shard + 1]);
        std::int64_t held = 0;
        for (const RowRun& run : window.runs) held += std::max<std::int64_t>(0, std::min(end, run.first + run.count) - std::max(first, run.first));
        partial += held < end - first;
      }
      BOOST_TEST(partial <= 2);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_function_of_seed_and_epoch_alone) {
  RandomStream random(3);
  for (int trial = 0; trial < 50; ++trial) {
    Case c = random_case(random);
    if (c.draw == Sampler::Draw::in_order) continue;
    c.starts.push_back(c.starts.back() + 100);  // so many rows that two orders agree by chance once in 10^100 trials
    c.batch = std::min<std::int64_t>(c.batch, 20);
    const Sampler one = c.sampler(5), other = c.sampler(5), third = c.sampler(6);
    const Batches first = epoch_of(one, 1), second = epoch_of(one, 2);
    BOOST_TEST((epoch_of(other, 2) == second));  // asked in another order
    BOOST_TEST((epoch_of(other, 1) == first));
    BOOST_TEST((first != second));
    BOOST_TEST((epoch_of(third, 1) != first));
    const std::int64_t last = one.windows() - 1;
    BOOST_TEST((other.window(2, last) == one.window(2, last)));
  }
}

BOOST_AUTO_TEST_CASE(in_order_the_rows_follow_each_other) {
  RandomStream random(5);
  for (int trial = 0; trial < 50; ++trial) {
    Case c = random_case(random);
    c.draw = Sampler::Draw::in_order;
    std::int64_t row = 0;
    for (const auto& batch : epoch_of(c.sampler(random.bits64()), trial))
      for (const std::int64_t met : batch) BOOST_REQUIRE(met == row++);
    BOOST_TEST(row == c.starts.back());
  }
}

BOOST_AUTO_TEST_CASE(batches_are_drawn_evenly) {
  // Every row falls into every batch equally often, within five standard deviations, where windows hold whole chunks of
  // one size.
  const int rows = 12, batch = 3, epochs = 4000;
  const double mean = epochs * double{batch} / rows, deviation = std::sqrt(mean * (1 - double{batch} / rows));
  for (const auto draw : {Sampler::Draw::freely, Sampler::Draw::from_strata})
    for (const auto& [chunk, window] : {std::pair{12, 12}, {1, 12}, {1, 3}, {3, 6}, {2, 6}}) {
      const Sampler sampler({0, 6, 6, rows}, batch, chunk, window, 11, draw);
      std::vector<int> met(rows * (rows / batch));
      for (int epoch = 0; epoch < epochs; ++epoch) {
        const Batches batches = epoch_of(sampler, epoch);
        for (std::size_t b = 0; b < batches.size(); ++b)
          for (const std::int64_t row : batches[b]) ++met[static_cast<std::size_t>(row) * batches.size() + b];
      }
      for (const int n : met) BOOST_TEST(std::abs(n - mean) < 5 * deviation);
    }
}

BOOST_AUTO_TEST_CASE(rows_meet_evenly) {
  // Drawn freely from one window, any two rows meet in a batch equally often; from strata, any two of different strata.
  const int rows = 10, batch = 2, epochs = 9000;
  for (const auto draw : {Sampler::Draw::freely, Sampler::Draw::from_strata}) {
    const bool strata = draw == Sampler::Draw::from_strata;
    const Sampler sampler({0, 4, rows}, batch, rows, rows, 3, draw);
    std::vector<int> met(rows * rows);
    for (int epoch = 0; epoch < epochs; ++epoch)
      for (const auto& pair : epoch_of(sampler, epoch)) ++met[static_cast<std::size_t>(pair[0] * rows + pair[1])];
    const double mean = strata ? epochs / 5.0 : epochs / 9.0, deviation = std::sqrt(mean);
    for (int a = 0; a < rows; ++a)
      for (int b = a + 1; b < rows; ++b) {
        const int n = met[static_cast<std::size_t>(a * rows + b)];
        if (strata && a / 5 == b / 5)
          BOOST_TEST(n == 0);
        else
          BOOST_TEST(std::abs(n - mean) < 5 * deviation);
      }
  }
}

BOOST_AUTO_TEST_CASE(strata_keep_shares_apart) {
  // Share r of every batch of a window comes from a block of its rows that the other shares have no row of; the epoch's
  // last, smaller batch may reach over the block's edge by a stratum.
  RandomStream random(4);
  for (int trial = 0; trial < 100; ++trial) {
    Case c = random_case(random);
    c.draw = Sampler::Draw::from_strata;
    const Sampler sampler = c.sampler(trial);
    for (const int ranks : {2, 3, 8, 50})
      for (std::int64_t w = 0; w < sampler.windows(); ++w) {
        auto batches = sampler.window(1, w);
        if (static_cast<std::int64_t>(batches.back().size()) < c.batch) batches.pop_back();
        std::int64_t before = -1;  // the last row of the shares before
        for (int r = 0; r < ranks; ++r) {
          std::int64_t last = before;
          for (const auto& batch : batches) {
            const Share share = share_of(c.batch, r, ranks);
            for (std::int64_t i = share.first; i < share.first + share.count; ++i) {
              BOOST_TEST(batch[static_cast<std::size_t>(i)] > before);
              last = std::max(last, batch[static_cast<std::size_t>(i)]);
            }
          }
          before = last;
        }
      }
  }
}

BOOST_AUTO_TEST_CASE(shares_are_a_partition) {
  for (std::int64_t n = 0; n < 40; ++n)
    for (int parts = 1; parts < 12; ++parts) {
      std::int64_t at = 0;
      for (int r = 0; r < parts; ++r) {
        const Share share = share_of(n, r, parts);
        BOOST_TEST(share.first == at);
        BOOST_TEST((share.count == n / parts || share.count == (n + parts - 1) / parts));
        at += share.count;
      }
      BOOST_TEST(at == n);
    }
}

BOOST_AUTO_TEST_SUITE_END()
