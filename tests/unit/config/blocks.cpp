// Blocks of layers: what a use of one stands for, and what is refused.
#include <fmt/ranges.h>

#include "support.hpp"

using namespace trireme;
using test::check_refused;

namespace {

/// The lines that a deck's layers have become, one a line.
std::string lines_of(const std::string& text) {
  std::vector<std::string> lines;
  const Deck deck(text, "a.ini");
  for (const LayerSpec& layer : deck.layers()) lines.push_back(layer.text);
  return fmt::format("{}", fmt::join(lines, "\n"));
}

const std::string residual =
    "[block residual]\n"
    "stride = 1\n"
    "layer = conv out=$out kernel=3 stride=$stride\n"
    "layer = relu\n"
    "layer = conv name=second out=$out kernel=3\n"
    "layer = add from=second,input\n";

std::string model(const std::string& lines) { return "[model]\ninput = 3x8x8\n" + lines; }

}  // namespace

BOOST_AUTO_TEST_SUITE(blocks)

BOOST_AUTO_TEST_CASE(a_use_stands_for_the_layers_of_the_block) {
  BOOST_TEST(lines_of(residual + model("layer = relu\nlayer = residual out=8\nlayer = residual out=16 stride=2\n")) ==
             "relu\n"
             "conv name=residual1.conv1 out=8 kernel=3 stride=1\n"
             "relu name=residual1.relu1\n"
             "conv name=residual1.second out=8 kernel=3\n"
             "add name=residual1.add1 from=residual1.second,relu1\n"
             "conv name=residual2.conv1 out=16 kernel=3 stride=2\n"
             "relu name=residual2.relu1\n"
             "conv name=residual2.second out=16 kernel=3\n"
             "add name=residual2.add1 from=residual2.second,residual1.add1");
}

BOOST_AUTO_TEST_CASE(repeated_and_named_instances) {
  const std::string expected =
      "conv name=first out=4 kernel=1\n"
      "conv name=a.1.conv1 out=4 kernel=3 stride=1\n"
      "relu name=a.1.relu1\n"
      "conv name=a.1.second out=4 kernel=3\n"
      "add name=a.1.add1 from=a.1.second,first\n"
      "conv name=a.2.conv1 out=4 kernel=3 stride=1\n"
      "relu name=a.2.relu1\n"
      "conv name=a.2.second out=4 kernel=3\n"
      "add name=a.2.add1 from=a.2.second,a.1.add1\n"
      "add from=first,a.1.add1,a.2.add1,a.1.relu1";
  const std::string lines = "layer = conv name=first out=4 kernel=1\nlayer = residual name=a out=4 repeat=2\n";
  BOOST_TEST(lines_of(residual + model(lines + "layer = add from=first,a.1,a.2,a.1.relu1\n")) == expected);
  BOOST_TEST(lines_of(residual + model(lines + "layer = add from=first,a.1,a,a.1.relu1\n")) == expected);
  // Blocks may stand below [model], too.
  BOOST_TEST(lines_of(model(lines + "layer = add from=first,a.1,a,a.1.relu1\n") + residual) == expected);
}

BOOST_AUTO_TEST_CASE(an_instance_can_be_fed_by_name) {
  BOOST_TEST(lines_of("[block pair]\nlayer = relu\nlayer = tanh\n" +
                      model("layer = conv name=a out=3 kernel=1\nlayer = conv name=b out=3 kernel=1\n"
                            "layer = pair name=p from=a repeat=2\nlayer = pair name=q from=input\nlayer = add from=b,p,q\n")) ==
             "conv name=a out=3 kernel=1\n"
             "conv name=b out=3 kernel=1\n"
             "relu name=p.1.relu1 from=a\n"
             "tanh name=p.1.tanh1\n"
             "relu name=p.2.relu1\n"
             "tanh name=p.2.tanh1\n"
             "relu name=q.relu1 from=input\n"
             "tanh name=q.tanh1\n"
             "add from=b,p.2.tanh1,q.tanh1");
}

BOOST_AUTO_TEST_CASE(blocks_of_blocks) {
  const std::string text =
      "[block unit]\nlayer = conv out=$out kernel=1\nlayer = relu\n"
      "[block stage]\nunits = 2\nlayer = unit name=u out=$out repeat=$units\nlayer = add from=u,input,u.1\n" +
      model("layer = stage out=3\nlayer = stage out=3 units=1 from=input\n");
  BOOST_TEST(lines_of(text) ==
             "conv name=stage1.u.1.conv1 out=3 kernel=1\n"
             "relu name=stage1.u.1.relu1\n"
             "conv name=stage1.u.2.conv1 out=3 kernel=1\n"
             "relu name=stage1.u.2.relu1\n"
             "add name=stage1.add1 from=stage1.u.2.relu1,input,stage1.u.1.relu1\n"
             "conv name=stage2.u.1.conv1 from=input out=3 kernel=1\n"
             "relu name=stage2.u.1.relu1\n"
             "add name=stage2.add1 from=stage2.u.1.relu1,input,stage2.u.1.relu1");
}

// The deck that a run keeps has no blocks, and is the same deck.
BOOST_AUTO_TEST_CASE(the_resolved_deck_has_the_layers) {
  const std::string text = residual + model("layer = residual out=3 repeat=2\nlayer = relu\n");
  const Deck deck(text, "a.ini"), again(deck.resolved(), "resolved");
  BOOST_TEST(deck.resolved().find("block") == std::string::npos);
  BOOST_TEST(again.resolved() == deck.resolved());
  BOOST_REQUIRE(deck.layers().size() == 9u);
  for (std::size_t i = 0; i < 9; ++i) {
    const LayerSpec &a = deck.layers()[i], &b = again.layers()[i];
    BOOST_TEST((a.kind == b.kind && a.name == b.name && a.from == b.from && a.options == b.options && a.text == b.text));
    BOOST_TEST(a.number == static_cast<int>(i) + 1);
  }
}

BOOST_AUTO_TEST_CASE(errors_name_the_lines) {
  const auto refuse = [](const std::string& lines, const std::vector<std::string>& words) { check_refused(residual + model(lines), words); };
  refuse("layer = residual\n", {"line 3", "used by deck 'a.ini', line 9", "'$out' has no value", "out=...", "[block residual]"});
  refuse("layer = residual out=3 strid=2\n", {"line 9", "no parameter 'strid'", "did you mean 'stride'?"});
  refuse("layer = residual out=3 repeat=0\n", {"line 9", "repeat = 0", "1 to 10000"});
  refuse("layer = residual out=3 repeat=x\n", {"line 9", "repeat", "is not an integer"});
  refuse("layer = residual out=3 from=input,input\n", {"line 9", "2 inputs", "takes one input"});
  refuse("layer = residual name=a out=3\nlayer = residual name=a out=3\n", {"line 10", "already has the name 'a'"});
  refuse("layer = relu name=a\nlayer = residual name=a out=3\n", {"line 10", "already has the name 'a'"});
  refuse("layer = residual name=a out=3\nlayer = relu name=a\n", {"line 10", "already has the name 'a'"});
  const auto refuse_block = [](const std::string& block, const std::vector<std::string>& words) {
    check_refused("[block b]\n" + block + model("layer = b\n"), words);
  };
  refuse_block("layer = relu from=inptu\n", {"line 2", "used by deck 'a.ini', line 5", "'inptu'", "did you mean 'input'?"});
  refuse_block("layer = relu name=x\nlayer = tanh name=x\n", {"line 3", "already has the name 'x'"});
  refuse_block("layer = b\n", {"line 2", "block 'b'", "above"});
  refuse_block("layer = out=3\n", {"line 2", "the kind of layer is missing"});
  refuse_block("out = 3\n", {"line 5", "block 'b' has no layers"});
  refuse_block("out = 3\nout = 4\nlayer = relu\n", {"line 3", "out of block 'b'", "given twice", "line 2"});
  refuse_block("layer = relu a=$\n", {"line 2", "'$' has no value"});
  check_refused("[block a/b]\nlayer = relu\n" + model(""), {"line 1", "'a/b' is not a valid block name"});
  check_refused("[block ]\nlayer = relu\n" + model(""), {"line 1", "is not a valid block name"});
  check_refused("[blokc b]\nlayer = relu\n" + model(""), {"line 1", "no section [blokc b]", "[block NAME]"});
}

BOOST_AUTO_TEST_SUITE_END()
