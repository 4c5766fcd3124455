#include "base/sample_shape.hpp"

#include <boost/test/unit_test.hpp>

#include "base/error.hpp"

using namespace trireme;

BOOST_AUTO_TEST_SUITE(sample_shapes)

BOOST_AUTO_TEST_CASE(have_at_most_four_extents) {
  BOOST_TEST((sample_shape("1x2x3x4", "model.input") == Shape{1, 2, 3, 4}));
  const auto refused = [](const char* text, const char* word) {
    BOOST_CHECK_EXCEPTION(sample_shape(text, "model.input"), Error, [&](const Error& error) {
      const std::string said = error.what();
      return error.code() == ExitCode::usage && said.find("model.input") != said.npos && said.find(word) != said.npos;
    });
  };
  refused("1x1x1x28x28", "1x1x28x28 is the same sample");
  refused("1x1x1x1x1x28x28", "1x1x28x28 is the same sample");
  refused("1x3x2x28x28", "3x2x28x28 is the same sample");
  refused("2x3x2x28x28", "merge adjacent dimensions");
  refused("1x1x1x1x1x1x1x1x1", "more than 8 extents");
  refused("0x1x1x1x1", "not a shape");
}

BOOST_AUTO_TEST_SUITE_END()
