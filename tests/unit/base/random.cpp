#include "base/random.hpp"

#include <boost/test/unit_test.hpp>
#include <vector>

BOOST_AUTO_TEST_SUITE(random_numbers)

// Random123's kat_vectors for philox4x32 with 10 rounds. There counters and keys are words, lowest first.
BOOST_AUTO_TEST_CASE(philox_known_answers) {
  const std::uint64_t ones = ~std::uint64_t{0};
  const struct {
    std::uint64_t key, high, low;
    std::uint32_t answer[4];
  } known[] = {
      {0, 0, 0, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}},
      {ones, ones, ones, {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}},
      {0x299f31d0a4093822u, 0x0370734413198a2eu, 0x85a308d3243f6a88u, {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}},
  };
  for (const auto& k : known) {
    const auto found = trireme::philox(k.key, k.high, k.low);
    for (int i = 0; i < 4; ++i) BOOST_TEST(found.v[i] == k.answer[i]);
  }
}

BOOST_AUTO_TEST_CASE(moments) {
  trireme::RandomStream stream(42);
  const int n = 200000;
  double sum = 0, squares = 0, uniform = 0;
  std::vector<int> counts(7);
  for (int i = 0; i < n; ++i) {
    const double x = stream.normal();
    sum += x, squares += x * x, uniform += stream.uniform();
    ++counts[stream.below(7)];
  }
  BOOST_TEST(std::abs(sum / n) < 0.01);
  BOOST_TEST(std::abs(squares / n - 1) < 0.02);
  BOOST_TEST(std::abs(uniform / n - 0.5) < 0.005);
  for (int c : counts) BOOST_TEST(std::abs(c - n / 7.0) < 5 * std::sqrt(n / 7.0));
}

BOOST_AUTO_TEST_SUITE_END()
