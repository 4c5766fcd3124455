#include "base/random.hpp"

#include <boost/test/unit_test.hpp>
#include <vector>

BOOST_AUTO_TEST_SUITE(random_numbers)

BOOST_AUTO_TEST_CASE(philox_known_answers) {  // Random123's kat_vectors for philox4x32-10
  const auto zero = trireme::philox(0, 0, 0);
  BOOST_TEST(zero.v[0] == 0x6627e8d5u);
  BOOST_TEST(zero.v[1] == 0xe169c58du);
  BOOST_TEST(zero.v[2] == 0xbc57ac4cu);
  BOOST_TEST(zero.v[3] == 0x9b00dbd8u);
  const std::uint64_t ones = ~std::uint64_t{0};
  const auto full = trireme::philox(ones, ones, ones);
  BOOST_TEST(full.v[0] == 0x408f276du);
  BOOST_TEST(full.v[3] == 0xa20bc7c6u);
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
