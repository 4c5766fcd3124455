#include "base/text.hpp"

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

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
  BOOST_TEST(near_name("data.bach", names) == "data.batch");
  BOOST_TEST(near_name("optimzer.lr", names) == "optimizer.lr");
  BOOST_TEST(near_name("OPTIMIZER.LR", names) == "optimizer.lr");
  BOOST_TEST(near_name("x", {}) == "");
  BOOST_TEST(trireme::did_you_mean("data.tarin", names) == "did you mean 'data.train'? ");
  BOOST_TEST(near_hint("data.tarin", names) == ". Hint: did you mean 'data.train'?");
}

BOOST_AUTO_TEST_CASE(unlike_names_are_not_suggested) {
  const std::vector<std::string> names{"adam", "dampening", "flatten", "/class", "relu"};
  BOOST_TEST(near_name("adma", names) == "adam");  // two letters swapped are one edit
  BOOST_TEST(near_name("rleu", names) == "relu");
  for (const char* unlike : {"learning_rate", "attention", "/x", "silu2d", ""}) {
    BOOST_TEST(near_name(unlike, names) == "", unlike);
    BOOST_TEST(trireme::did_you_mean(unlike, names) == "");
    BOOST_TEST(near_hint(unlike, names) == "");
  }
  BOOST_TEST(near_name(std::string(1'000'000, 'a'), names) == "");
}

BOOST_AUTO_TEST_CASE(nan_has_no_sign) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double value : {nan, -nan, std::copysign(nan, -1.0)}) BOOST_TEST(fmt::format("{:.4f}", without_nan_sign(value)) == "nan");
  BOOST_TEST(without_nan_sign(-0.5) == -0.5);
  BOOST_TEST(without_nan_sign(-std::numeric_limits<double>::infinity()) == -std::numeric_limits<double>::infinity());
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
