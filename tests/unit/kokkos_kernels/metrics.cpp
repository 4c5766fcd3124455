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
  for (std::int64_t s = 0; s < n; ++s) labels.push_back(static_cast<std::int32_t>(draw(random, random.below(6) == 0 ? -1 : 0, classes - 1)));
  std::vector<std::int64_t> start(ClassCounts::totals_size), start_confusion(static_cast<std::size_t>(classes * classes));
  for (auto* list : {&start, &start_confusion})
    for (auto& count : *list) count = draw(random, 0, 9);
  auto expected = start, confusion = start_confusion;
  for (std::int64_t s = 0; s < n; ++s) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(classes));
    std::iota(order.begin(), order.end(), 0);
    const auto score = [&](std::int64_t c) { return y[static_cast<std::size_t>(s * classes + c)]; };
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return score(a) > score(b); });
    const std::int64_t label = labels[static_cast<std::size_t>(s)];
    if (label < 0) {  // ignored
      winners.push_back(static_cast<std::int32_t>(order[0]));
      continue;
    }
    ++expected[3];
    if (random.below(8) == 0) {  // no score: no prediction
      y[static_cast<std::size_t>(s * classes + draw(random, 0, classes - 1))] = std::numeric_limits<T>::quiet_NaN();
      ++expected[2];
      winners.push_back(-1);
      continue;
    }
    expected[0] += order[0] == label;
    expected[1] += std::find(order.begin(), order.begin() + std::min<std::int64_t>(5, classes), label) != order.begin() + std::min<std::int64_t>(5, classes);
    ++confusion[static_cast<std::size_t>(label * classes + order[0])];
    winners.push_back(static_cast<std::int32_t>(order[0]));
  }
  const Guarded<T> dev_y(y);
  const Guarded<std::int32_t> dev_labels(labels), found_winners(n);
  const Guarded<std::int64_t> totals(start), matrix(start_confusion);
  count_classes<T>(Execution(), n, classes, dev_y, {.numbers = dev_labels}, {totals, matrix});
  largest_class<T>(Execution(), n, classes, dev_y, found_winners);
  BOOST_TEST(totals.values() == expected, boost::test_tools::per_element());
  BOOST_TEST(matrix.values() == confusion, boost::test_tools::per_element());
  BOOST_TEST(found_winners.values() == winners, boost::test_tools::per_element());
  BOOST_TEST((totals.guards_hold() && matrix.guards_hold() && found_winners.guards_hold()));
  const Guarded<std::int64_t> alone(start);
  count_classes<T>(Execution(), n, classes, dev_y, {.numbers = dev_labels}, {alone, Span<std::int64_t>()});
  BOOST_TEST(alone.values() == expected, boost::test_tools::per_element());
}

std::vector<OutputSums> read(const Buffer<OutputSums>& sums) {
  Kokkos::fence("trireme::test: sums");
  const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), sums);
  return {host.data(), host.data() + host.size()};
}

// In two calls, as of two batches, and with targets far from 0.
template <class T>
void check_errors(RandomStream& random, std::int64_t n, std::int64_t outputs, bool logits) {
  const auto y = random_numbers<T>(random, 2 * n * outputs);
  auto target = random_numbers<T>(random, 2 * n * outputs);
  for (T& t : target) t += T(1000);
  const Buffer<OutputSums> sums("test", static_cast<std::size_t>(outputs));
  const auto half = static_cast<std::ptrdiff_t>(n * outputs);
  for (int call = 0; call < 2; ++call) {
    const auto of = [&](const std::vector<T>& all) { return Guarded<T>(std::vector<T>(all.begin() + call * half, all.begin() + (call + 1) * half)); };
    sum_errors<T>(Execution(), n, outputs, call == 0, {.logits = logits}, of(y), of(target), sums);
  }
  const auto found = read(sums);
  for (std::size_t o = 0; o < found.size(); ++o) {
    long double absolute = 0, squared = 0, shift = 0, spread = 0;
    for (std::size_t i = o; i < y.size(); i += found.size()) {
      const double t = static_cast<double>(target[i]), score = static_cast<double>(y[i]);
      const long double e = static_cast<long double>((logits ? 1 / (1 + std::exp(-score)) : score) - t), d = t - found[o].pivot;
      absolute += std::abs(e), squared += e * e, shift += d, spread += d * d;
    }
    BOOST_TEST(found[o].pivot == static_cast<double>(target[o]));
    const auto near = [](const LongSum& sum, long double wanted) {
      return std::abs(sum.value() - static_cast<double>(wanted)) <= 1e-15 * (1 + std::abs(static_cast<double>(wanted)));
    };
    BOOST_TEST(near(found[o].absolute, absolute));
    BOOST_TEST(near(found[o].squared, squared));
    BOOST_TEST(near(found[o].shift, shift));
    BOOST_TEST(near(found[o].spread, spread));
  }
}

template <class T>
void check_binary(RandomStream& random, std::int64_t n, std::int64_t outputs) {
  auto y = random_numbers<T>(random, n * outputs), target = y;
  std::vector<std::int64_t> expected(6);
  for (std::size_t i = 0; i < y.size(); ++i) {
    target[i] = random.below(9) == 0 ? T(0.75) : T(random.below(2));
    if (random.below(9) == 0) y[i] = random.below(2) ? T(0.25) : std::numeric_limits<T>::quiet_NaN();
    if (target[i] == T(0.75)) ++expected[5];
    ++expected[std::isnan(y[i]) ? 4 : y[i] > T(0.25) ? (target[i] > T(0.5) ? 0 : 1) : (target[i] > T(0.5) ? 2 : 3)];
  }
  const Guarded<std::int64_t> counts(std::vector<std::int64_t>(6, 0));
  count_binary<T>(Execution(), n, outputs, T(0.25), {}, Guarded<T>(y), Guarded<T>(target), counts);
  BOOST_TEST(counts.values() == expected, boost::test_tools::per_element());
  BOOST_TEST(counts.guards_hold());
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
      check_binary<float>(random, n, classes);
      check_binary<double>(random, n, classes);
      if (n == 0) continue;
      for (const bool logits : {false, true}) {
        check_errors<float>(random, n, classes, logits);
        check_errors<double>(random, n, classes, logits);
      }
    }
  }
}

// 2^53 + 1 + 1 is lost to a double, and so is what is left of 1e300 - 1e300; infinities and NaN stay what they are.
BOOST_AUTO_TEST_CASE(long_sums_keep_what_rounding_takes) {
  LongSum sum;
  for (const double x : {9007199254740992.0, 1.0, 1.0, -9007199254740992.0}) sum.add(x);
  BOOST_TEST(sum.value() == 2.0);
  LongSum squares;  // (2^27 + 1)^2 = 2^54 + 2^28 + 1
  squares.add_square(134217729.0);
  squares.add(-18014398509481984.0);
  BOOST_TEST(squares.value() == 268435457.0);
  LongSum product;  // (2^27 + 1)(2^27 - 1) = 2^54 - 1
  product.add_product(134217729.0, 134217727.0);
  product.add(-18014398509481984.0);
  BOOST_TEST(product.value() == -1.0);
  LongSum infinite;
  infinite.add(std::numeric_limits<double>::infinity());
  infinite.add(1);
  BOOST_TEST(infinite.value() == std::numeric_limits<double>::infinity());
  infinite.add_square(std::numeric_limits<double>::quiet_NaN());
  BOOST_TEST(std::isnan(infinite.value()));
  // Any order gives the same double.
  RandomStream random(test_seed(), 4);
  auto numbers = random_numbers<double>(random, 1000);
  double found[2];
  for (double& result : found) {
    LongSum of;
    for (const double x : numbers) of.add(1e10 + x), of.add_square(x);
    result = of.value();
    std::reverse(numbers.begin(), numbers.end());
  }
  BOOST_TEST(found[0] == found[1]);
}

BOOST_AUTO_TEST_CASE(errors_let_what_is_no_number_through) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [y, t] : {std::pair(nan, 1.0), std::pair(1.0, nan)})
    for (const bool logits : {false, true}) {
      const Buffer<OutputSums> sums("test", 1);
      sum_errors<double>(Execution(), 2, 1, true, {.logits = logits}, Guarded<double>({0.5, y}), Guarded<double>({0.5, t}), sums);
      const OutputSums of = read(sums)[0];
      BOOST_TEST(std::isnan(of.absolute.value()));
      BOOST_TEST(std::isnan(of.squared.value()));
      BOOST_TEST(std::isnan(of.spread.value()) == std::isnan(t));
    }
}

BOOST_AUTO_TEST_SUITE_END()
