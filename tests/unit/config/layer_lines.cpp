#include "base/random.hpp"
#include "support.hpp"

using namespace trireme;
using test::check_refused;
using test::deck_text;

namespace {
std::vector<LayerSpec> layers_of(const std::string& lines) { return Deck("[model]\ninput = 3\n" + lines, "a.ini").layers(); }
}  // namespace

BOOST_AUTO_TEST_SUITE(layer_lines)

BOOST_AUTO_TEST_CASE(parts_of_a_line) {
  const auto layers = layers_of("layer = conv  out=32\tkernel=3,5 name=first # the first\n  layer=add from=first,b\nlayer = relu\n");
  BOOST_REQUIRE(layers.size() == 3u);
  BOOST_TEST(layers[0].kind == "conv");
  BOOST_TEST(layers[0].name == "first");
  BOOST_TEST(layers[0].from.empty());
  BOOST_TEST((layers[0].options == std::map<std::string, std::string>{{"out", "32"}, {"kernel", "3,5"}}));
  BOOST_TEST(layers[0].text == "conv  out=32\tkernel=3,5 name=first");
  BOOST_TEST(layers[1].from == (std::vector<std::string>{"first", "b"}), boost::test_tools::per_element());
  BOOST_TEST(layers[1].options.empty());
  BOOST_TEST(layers[2].kind == "relu");
  for (int i = 0; i < 3; ++i) BOOST_TEST(layers[static_cast<std::size_t>(i)].number == i + 1);
}

// A value may hold '=': only the first one of a word separates.
BOOST_AUTO_TEST_CASE(first_equals_sign_separates) { BOOST_TEST(layers_of("layer = x a=b=c\n")[0].options.at("a") == "b=c"); }

// Layers stand in the order of their lines, also when [model] is opened again.
BOOST_AUTO_TEST_CASE(order) {
  RandomStream random(7);
  for (int round = 0; round < 20; ++round) {
    std::string lines;
    const std::size_t n = 1 + random.below(30);
    for (std::size_t i = 0; i < n; ++i) {
      if (random.below(4) == 0) lines += "[run]\n[model]\n";
      lines += "layer = kind" + std::to_string(i) + "\n";
    }
    const auto layers = layers_of(lines);
    BOOST_REQUIRE(layers.size() == n);
    for (std::size_t i = 0; i < n; ++i) BOOST_TEST(layers[i].kind == "kind" + std::to_string(i));
  }
}

BOOST_AUTO_TEST_CASE(wrong_lines_are_quoted) {
  const auto refuse = [](const std::string& line, const std::string& reason) {
    check_refused(deck_text("layer = " + line + "\n"), {"deck 'a.ini', line 6", fmt::format("layer 3, '{}'", line), reason});
  };
  refuse("", "the kind of layer is missing");
  refuse("out=3", "the kind of layer is missing");
  refuse("conv out=3 out=3", "the option 'out' is given twice");
  refuse("conv name=a name=b", "the option 'name' is given twice");
  refuse("add from=a from=b", "the option 'from' is given twice");
  refuse("conv 32", "'32' has no '='");
  refuse("conv kernel=3, 5", "'kernel=3,' has no value");
  refuse("conv out = 3", "'out' has no '='");
  refuse("conv =3", "'=3' has no key");
  refuse("conv out=", "'out=' has no value");
  refuse("conv kernel=3,,5", "'kernel=3,,5' has no value");
  refuse("add from=a,", "'from=a,' has no value");
  refuse("add from=", "'from=' has no value");
  for (const char* name : {"a/b", "a,b", "a=b", "a:b"}) refuse(fmt::format("conv name={}", name), fmt::format("'{}' is not a valid name", name));
}

BOOST_AUTO_TEST_SUITE_END()
