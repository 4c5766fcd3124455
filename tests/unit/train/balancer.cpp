// Shares from measured speeds: optimal for given speeds, the same on all ranks, and reached in spite of costs of a step that do not depend on its samples.
#include "train/balancer.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <functional>
#include <numeric>

#include "base/error.hpp"
#include "base/random.hpp"

using namespace trireme;

namespace {

double slowest(const std::vector<double>& rates, const std::vector<std::int64_t>& shares) {
  double most = 0;
  for (std::size_t r = 0; r < rates.size(); ++r) most = std::max(most, rates[r] * static_cast<double>(shares[r]));
  return most;
}

/// The smallest time of the slowest rank over all divisions of the batch.
double best_of_all(const std::vector<double>& rates, std::int64_t batch, std::int64_t most) {
  double best = 1e300;
  std::vector<std::int64_t> shares(rates.size());
  const std::function<void(std::size_t, std::int64_t)> choose = [&](std::size_t r, std::int64_t left) {
    if (r + 1 == rates.size()) {
      if (left < 1 || left > most) return;
      shares[r] = left;
      best = std::min(best, slowest(rates, shares));
      return;
    }
    for (std::int64_t n = 1; n <= std::min(most, left - 1); ++n) shares[r] = n, choose(r + 1, left - n);
  };
  choose(0, batch);
  return best;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(balancer)

BOOST_AUTO_TEST_CASE(no_division_is_better) {
  RandomStream random(81);
  for (int trial = 0; trial < 200; ++trial) {
    const auto ranks = 1 + random.below(4);
    std::vector<double> rates;
    for (std::uint64_t r = 0; r < ranks; ++r) rates.push_back(0.1 + static_cast<double>(random.below(100)));
    const auto n = static_cast<std::int64_t>(ranks);
    const std::int64_t batch = n + static_cast<std::int64_t>(random.below(20)), most = (batch + n - 1) / n + static_cast<std::int64_t>(random.below(9));
    const auto shares = balanced_shares(rates, batch, most);
    BOOST_TEST(std::accumulate(shares.begin(), shares.end(), std::int64_t{0}) == batch);
    for (const std::int64_t share : shares) BOOST_TEST((share >= 1 && share <= most));
    BOOST_TEST(slowest(rates, shares) <= best_of_all(rates, batch, most) * (1 + 1e-12));
  }
  BOOST_CHECK_THROW(balanced_shares(std::vector<double>{1, 1}, 1, 2), Error);
  BOOST_CHECK_THROW(balanced_shares(std::vector<double>{1, 1}, 5, 2), Error);
}

BOOST_AUTO_TEST_CASE(slow_ranks_get_less_until_all_are_done_together) {
  // Rank r takes `fixed` seconds per step and (1 + 2 r) per sample, with noise of 2 % and occasional outliers; new shares take effect 25 steps later.
  const Communicator comm(MPI_COMM_WORLD);
  const int ranks = comm.size(), rank = comm.rank();
  const std::int64_t batch = 240;
  for (const double fixed : {0.0, 20.0}) {
    Balancer balancer(comm, rank, ranks, batch, batch);
    RandomStream random(static_cast<std::uint64_t>(90 + rank));
    std::vector<std::vector<std::int64_t>> asked(25, balancer.shares());
    const auto seconds = [&](int r, std::int64_t samples) { return fixed + (1.0 + 2.0 * r) * static_cast<double>(samples); };
    for (int step = 0; step < 400; ++step) {
      const auto shares = asked[asked.size() - 25];
      const std::int64_t mine = shares[static_cast<std::size_t>(rank)];
      double whole = 0;
      for (int r = 0; r < ranks; ++r) whole = std::max(whole, seconds(r, shares[static_cast<std::size_t>(r)]));
      const double noise = 0.98 + 0.0004 * static_cast<double>(random.below(100));
      balancer.add(seconds(rank, mine) * noise * (random.below(30) == 0 ? 4 : 1), whole, mine);
      balancer.decide();
      asked.push_back(balancer.shares());
    }
    std::vector<std::int64_t> same = balancer.shares();
    comm.all_reduce(std::span<std::int64_t>(same), MPI_MAX);
    BOOST_TEST((same == balancer.shares()));
    BOOST_TEST(std::accumulate(same.begin(), same.end(), std::int64_t{0}) == batch);
    double least = 1e300, most = 0;
    for (int r = 0; r < ranks; ++r) {
      least = std::min(least, seconds(r, same[static_cast<std::size_t>(r)]));
      most = std::max(most, seconds(r, same[static_cast<std::size_t>(r)]));
    }
    BOOST_TEST(most < 1.12 * least);
    const auto gain = balancer.gain();
    BOOST_REQUIRE(gain.has_value() == (ranks > 1));
    if (gain) BOOST_TEST(gain->even > 1.2 * gain->now);
  }
}

BOOST_AUTO_TEST_CASE(even_speeds_stay_even) {
  const Communicator comm(MPI_COMM_WORLD);
  Balancer balancer(comm, comm.rank(), comm.size(), 64, 64);
  RandomStream random(static_cast<std::uint64_t>(95 + comm.rank()));
  const auto before = balancer.shares();
  for (int step = 0; step < 200; ++step) {
    const std::int64_t mine = balancer.shares()[static_cast<std::size_t>(comm.rank())];
    balancer.add(static_cast<double>(mine) * (0.995 + 0.0001 * static_cast<double>(random.below(100))), 1, mine);
    BOOST_TEST(!balancer.decide().has_value());
  }
  BOOST_TEST((balancer.shares() == before));
  BOOST_TEST(!balancer.gain().has_value());
}

BOOST_AUTO_TEST_CASE(a_batch_must_have_a_sample_for_each) { BOOST_CHECK_THROW(Balancer(Communicator(MPI_COMM_SELF), 0, 3, 2, 2), Error); }

BOOST_AUTO_TEST_CASE(slow_rank_of_the_environment) {
  ::setenv("TRIREME_SLOW_RANK", "1:3", 1);
  BOOST_TEST(SlowDown::from_environment(1).active());
  BOOST_TEST(!SlowDown::from_environment(0).active());
  for (const char* wrong : {"", "1", "1:", "x:3", "1:0.5", "1:3x", "-1:2", "1:nan"}) {
    ::setenv("TRIREME_SLOW_RANK", wrong, 1);
    BOOST_CHECK_THROW(SlowDown::from_environment(0), Error);
  }
  ::unsetenv("TRIREME_SLOW_RANK");
  BOOST_TEST(!SlowDown::from_environment(1).active());
}

BOOST_AUTO_TEST_SUITE_END()
