// Counts and sums of metrics against their definitions, ties included; they add up over batches.
#include "kokkos_kernels/metrics.hpp"

#include <boost/test/unit_test.hpp>
#include <numeric>

#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class T>
void check_classes(RandomStream& random, std::int64_t n, std::int64_t classes) {
  auto y = random_numbers<T>(random, n * classes);
  for (T& score : y) score = std::round(score * 4) / 4;  // many ties
  std::vector<std::int32_t> labels, winners;
  for (std::int64_t s = 0; s < n; ++s) labels.push_back(static_cast<std::int32_t>(draw(random, 0, classes - 1)));
  std::vector<std::int64_t> start(static_cast<std::size_t>(2 + classes * classes));
  for (auto& count : start) count = draw(random, 0, 9);
  auto expected = start;
  for (std::int64_t s = 0; s < n; ++s) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(classes));
    std::iota(order.begin(), order.end(), 0);
    const auto score = [&](std::int64_t c) { return y[static_cast<std::size_t>(s * classes + c)]; };
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return score(a) > score(b); });
    const std::int64_t label = labels[static_cast<std::size_t>(s)];
    expected[0] += order[0] == label;
    expected[1] += std::find(order.begin(), order.begin() + std::min<std::int64_t>(5, classes), label) != order.begin() + std::min<std::int64_t>(5, classes);
    ++expected[static_cast<std::size_t>(2 + label * classes + order[0])];
    winners.push_back(static_cast<std::int32_t>(order[0]));
  }
  const Guarded<T> dev_y(y);
  const Guarded<std::int32_t> dev_labels(labels), found_winners(n);
  const Guarded<std::int64_t> counts(start);
  count_classes<T>(Execution(), n, classes, dev_y, dev_labels, counts);
  largest_class<T>(Execution(), n, classes, dev_y, found_winners);
  BOOST_TEST(counts.values() == expected, boost::test_tools::per_element());
  BOOST_TEST(found_winners.values() == winners, boost::test_tools::per_element());
  BOOST_TEST((counts.guards_hold() && found_winners.guards_hold()));
}

template <class T>
void check_errors(RandomStream& random, std::int64_t n, std::int64_t outputs) {
  const auto y = random_numbers<T>(random, n * outputs), target = random_numbers<T>(random, n * outputs);
  const auto start = random_numbers<double>(random, 4 * outputs);
  auto expected = start;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t o = 4 * (i % static_cast<std::size_t>(outputs));
    const double t = static_cast<double>(target[i]), e = static_cast<double>(y[i]) - t;
    expected[o] += std::abs(e), expected[o + 1] += e * e, expected[o + 2] += t, expected[o + 3] += t * t;
  }
  const Guarded<T> dev_y(y), dev_target(target);
  const Guarded<double> sums(start);
  sum_errors<T>(Execution(), n, outputs, dev_y, dev_target, sums);
  BOOST_TEST(distance(sums.values(), expected) <= 1e-13);
  BOOST_TEST(sums.guards_hold());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(metrics)

BOOST_AUTO_TEST_CASE(equal_their_definitions) {
  RandomStream random(test_seed());
  for (int i = 0; i < 40; ++i) {
    const std::int64_t n = draw(random, 0, 60), classes = draw(random, 1, 12);
    BOOST_TEST_CONTEXT("seed " << test_seed() << " case " << i << " n " << n << " classes " << classes) {
      check_classes<float>(random, n, classes);
      check_classes<double>(random, n, classes);
      check_errors<float>(random, n, classes);
      check_errors<double>(random, n, classes);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
