// Sums and means over rows against their definition: many channels, more rows than a block, bits that do not depend on threads.
#include "kokkos_kernels/reduce.hpp"

#include <boost/test/unit_test.hpp>

#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class T>
void check(std::uint64_t seed) {
  RandomStream random(seed, 90 + sizeof(T));
  for (const std::int64_t channels : {1, 3, 15, 16, 17, 70})
    for (const std::int64_t pixels : {1, 7, 1300}) {
      const std::int64_t n = draw(random, 0, 3), rows = n * pixels;
      const auto x = random_numbers<T>(random, rows * channels), start = random_numbers<T>(random, channels);
      std::vector<double> total(start.begin(), start.end()), mean(static_cast<std::size_t>(n * channels)), spread(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        const std::size_t c = i % static_cast<std::size_t>(channels), s = i / static_cast<std::size_t>(pixels * channels);
        total[c] += static_cast<double>(x[i]);
        mean[s * static_cast<std::size_t>(channels) + c] += static_cast<double>(x[i]) / static_cast<double>(pixels);
      }
      const auto dy = random_numbers<T>(random, n * channels);
      for (std::size_t i = 0; i < spread.size(); ++i)
        spread[i] = static_cast<double>(
                        dy[i / static_cast<std::size_t>(pixels * channels) * static_cast<std::size_t>(channels) + i % static_cast<std::size_t>(channels)]) /
                    static_cast<double>(pixels);
      const Guarded<T> in(x), y(n * channels), gradient(dy), dx(rows * channels);
      const Guarded<double> workspace(channel_sums_workspace(rows, channels));
      std::vector<std::vector<T>> sums;
      for (const Execution& exec : few_and_many_threads()) {
        const Guarded<T> out(start);
        add_channel_sums<T>(exec, rows, channels, in, workspace, out);
        sums.push_back(out.values());
        BOOST_TEST(out.guards_hold());
      }
      mean_over_pixels<T>(Execution(), n, pixels, pixels, channels, in, y);
      mean_over_pixels_backward<T>(Execution(), n, pixels, pixels, channels, gradient, dx);
      BOOST_TEST_CONTEXT("seed " << seed << ", " << sizeof(T) << "-byte, n " << n << ", pixels " << pixels << ", channels " << channels) {
        BOOST_TEST(same_bits(sums.front(), sums.back()));
        BOOST_TEST(distance(sums[0], total, 1) <= rounding<T>);
        BOOST_TEST(distance(y.values(), mean, 1) <= rounding<T>);
        BOOST_TEST(distance(dx.values(), spread, 1) <= rounding<T>);
        BOOST_TEST((y.guards_hold() && dx.guards_hold() && workspace.guards_hold()));
      }
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reduce)

BOOST_AUTO_TEST_CASE(sums_and_means_equal_their_definition) {
  check<double>(test_seed());
  check<float>(test_seed());
}

BOOST_AUTO_TEST_SUITE_END()
