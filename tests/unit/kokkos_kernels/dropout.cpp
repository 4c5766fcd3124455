// Dropout: a function of key, place in the global batch and element alone.
#include "kokkos_kernels/dropout.hpp"

#include <boost/test/unit_test.hpp>

#include "regions.hpp"
#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class T>
std::vector<T> dropped(std::int64_t n, std::int64_t elements, double p, std::uint64_t key, std::int64_t first_sample, const std::vector<T>& x) {
  const Guarded<T> in(x), out(n * elements);
  dropout<T>(Execution(), n, elements, p, key, first_sample, in, out);
  BOOST_TEST(out.guards_hold());
  return out.values();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dropout_masks)

BOOST_AUTO_TEST_CASE(do_not_depend_on_how_the_batch_is_divided) {
  RandomStream random(test_seed());
  for (int i = 0; i < 40; ++i) {
    const std::int64_t n = draw(random, 1, 30), elements = draw(random, 1, 50), first = draw(random, 0, 1000);
    const double p = random.uniform();
    const std::uint64_t key = random.bits64();
    const auto x = random_numbers<float>(random, n * elements);
    const auto whole = dropped<float>(n, elements, p, key, first, x);
    std::vector<float> parts;
    for (std::int64_t done = 0; done < n;) {
      const std::int64_t count = std::min(draw(random, 0, 7), n - done);
      const auto part = dropped<float>(count, elements, p, key, first + done, {x.begin() + done * elements, x.begin() + (done + count) * elements});
      parts.insert(parts.end(), part.begin(), part.end());
      done += count;
    }
    BOOST_TEST(same_bits(whole, parts), "seed " << test_seed() << " case " << i << " n " << n << " elements " << elements);
  }
}

BOOST_AUTO_TEST_CASE(fall_at_their_rate_and_scale_what_stays) {
  RandomStream random(test_seed(), 1);
  const std::int64_t n = 50, elements = 2001;
  const auto x = separated_numbers<double>(random, n * elements);
  for (const double p : {0.0, 0.1, 0.5, 0.9, 1.0}) {
    const auto y = dropped<double>(n, elements, p, random.bits64(), 0, x);
    std::int64_t fallen = 0;
    for (std::size_t i = 0; i < y.size(); ++i)
      if (y[i] == 0)
        ++fallen;
      else
        BOOST_REQUIRE(std::abs(y[i] - x[i] / (1 - p)) <= 1e-14 * std::abs(y[i]));
    const double count = static_cast<double>(y.size()), sigma = std::sqrt(p * (1 - p) * count);
    BOOST_TEST(std::abs(static_cast<double>(fallen) - p * count) <= 5 * sigma, "p " << p << ": " << fallen << " of " << count << " fell");
  }
}

BOOST_AUTO_TEST_CASE(are_the_same_in_the_backward_pass_in_place_and_in_both_precisions) {
  const std::int64_t n = 9, elements = 37;
  const std::vector<double> ones(static_cast<std::size_t>(n * elements), 1);
  const auto mask = dropped<double>(n, elements, 0.3, 42, 5, ones);
  const Guarded<double> shared(ones);
  dropout<double>(Execution(), n, elements, 0.3, 42, 5, shared, shared);
  BOOST_TEST(same_bits(shared.values(), mask));
  const auto floats = dropped<float>(n, elements, 0.3, 42, 5, std::vector<float>(ones.size(), 1));
  for (std::size_t i = 0; i < mask.size(); ++i) BOOST_TEST((mask[i] == 0) == (floats[i] == 0));
}

BOOST_AUTO_TEST_CASE(differ_between_keys_samples_and_elements) {
  const std::int64_t n = 40, elements = 40;
  const std::vector<float> ones(static_cast<std::size_t>(n * elements), 1);
  const auto a = dropped<float>(n, elements, 0.5, 1, 0, ones), b = dropped<float>(n, elements, 0.5, 2, 0, ones);
  const auto agree = [&](auto&& other) {
    int same = 0;
    for (std::int64_t s = 0; s + 1 < n; ++s)
      for (std::int64_t e = 0; e + 1 < elements; ++e) same += (a[static_cast<std::size_t>(s * elements + e)] == 0) == (other(s, e) == 0);
    return static_cast<double>(same) / static_cast<double>((n - 1) * (elements - 1));
  };
  BOOST_TEST(std::abs(agree([&](auto s, auto e) { return b[static_cast<std::size_t>(s * elements + e)]; }) - 0.5) < 0.07);
  BOOST_TEST(std::abs(agree([&](auto s, auto e) { return a[static_cast<std::size_t>((s + 1) * elements + e)]; }) - 0.5) < 0.07);
  BOOST_TEST(std::abs(agree([&](auto s, auto e) { return a[static_cast<std::size_t>(s * elements + e + 1)]; }) - 0.5) < 0.07);
}

BOOST_AUTO_TEST_CASE(of_a_region_fall_as_those_of_the_whole) {
  RandomStream random(test_seed(), 8);
  for (int trial = 0; trial < 60; ++trial) {
    const std::int64_t n = draw(random, 0, 4), channels = draw(random, 1, 9);
    const Region region = random_region(random, channels);
    const std::int64_t elements = channels * region.extents[0] * region.extents[1] * region.extents[2];
    const auto x = random_numbers<float>(random, n * elements);
    const auto whole = dropped<float>(n, elements, 0.4, test_seed(), 3, x);
    Guarded<float> part(in_region(x, n, elements, region));
    dropout<float>(Execution(), n, region.elements(), 0.4, test_seed(), 3, part, part, region);
    BOOST_TEST(part.guards_hold());
    BOOST_TEST(same_bits(part.values(), in_region(whole, n, elements, region)));
  }
}

BOOST_AUTO_TEST_SUITE_END()
