#include "base/text.hpp"

#include <boost/test/unit_test.hpp>

using namespace trireme;

BOOST_AUTO_TEST_SUITE(texts)

BOOST_AUTO_TEST_CASE(splitting) {
  BOOST_TEST(split("a, b ,c", ',') == (std::vector<std::string>{"a", "b", "c"}), boost::test_tools::per_element());
  BOOST_TEST(split("  ", ',').empty());
  BOOST_TEST(split("a,,b", ',').size() == 3u);
  BOOST_TEST(words(" conv  out=3\tkernel=5 ") == (std::vector<std::string>{"conv", "out=3", "kernel=5"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(did_you_mean) {
  const std::vector<std::string> names{"data.batch", "data.train", "optimizer.lr"};
  BOOST_TEST(nearest("data.bach", names) == "data.batch");
  BOOST_TEST(nearest("optimiser.lr", names) == "optimizer.lr");
  BOOST_TEST(nearest("x", {}) == "");
}

BOOST_AUTO_TEST_CASE(human_units) {
  BOOST_TEST(human_bytes(512) == "512 B");
  BOOST_TEST(human_bytes(1536) == "1.5 KiB");
  BOOST_TEST(human_seconds(0.004) == "4.0 ms");
  BOOST_TEST(human_seconds(4.21) == "4.2 s");
  BOOST_TEST(human_seconds(75.2) == "1 min 15 s");
  BOOST_TEST(human_seconds(3725.4) == "1 h 02 min");
}

BOOST_AUTO_TEST_SUITE_END()
