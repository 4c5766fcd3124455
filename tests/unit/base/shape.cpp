#include "base/shape.hpp"

#include <boost/test/unit_test.hpp>

#include "base/error.hpp"

using trireme::Shape;

BOOST_AUTO_TEST_SUITE(shapes)

BOOST_AUTO_TEST_CASE(parse_and_print) {
  const Shape shape = Shape::parse("3x32x16", "input");
  BOOST_TEST(shape.rank() == 3);
  BOOST_TEST(shape.size() == 3 * 32 * 16);
  BOOST_TEST(shape.text() == "3x32x16");
  BOOST_TEST(shape.tuple() == "(3, 32, 16)");
  BOOST_TEST((shape.without_first() == Shape{32, 16}));
  BOOST_TEST((shape.with_first(7) == Shape{7, 3, 32, 16}));
  BOOST_TEST(Shape{}.size() == 1);
}

BOOST_AUTO_TEST_CASE(bad_text_is_named) {
  for (const char* text : {"", "x", "3x", "x3", "3x0", "3x-1", "3.5", "a", "3 x 4", "1x1x1x1x1x1x1x1x1"})
    BOOST_CHECK_EXCEPTION(Shape::parse(text, "model.input"), trireme::Error, [](const trireme::Error& e) {
      return e.code() == trireme::ExitCode::usage && std::string(e.what()).find("model.input") != std::string::npos;
    });
}

BOOST_AUTO_TEST_SUITE_END()
