#include <cmath>
#include <limits>

#include "base/random.hpp"
#include "support.hpp"

using namespace trireme;
using test::deck_text;

BOOST_AUTO_TEST_SUITE(deck_values)

BOOST_AUTO_TEST_CASE(defaults_are_legal_and_not_given) {
  const Deck deck(deck_text(), "a.ini");
  for (const KeySpec& key : deck_keys()) {
    BOOST_TEST(deck.given(key.name) == (key.name == "model.input"));
    if (!key.required) BOOST_CHECK_NO_THROW(Deck(deck_text(), "a.ini", {key.name + "=" + key.fallback}));
  }
  BOOST_TEST(deck.integer("data.batch") == 32);
  BOOST_TEST(deck.real("optimizer.epsilon") == 1e-8);
  BOOST_TEST(deck.boolean("data.shuffle"));
  BOOST_TEST(!deck.boolean("train.trace"));
  BOOST_TEST(deck.text("loss.kind") == "cross_entropy");
  BOOST_TEST(deck.reals("data.std").empty());
}

BOOST_AUTO_TEST_CASE(dialect) {
  const Deck deck(
      "\xEF\xBB\xBF[model]\r\n  input=1x2 # shape\r\n\tlayer = relu\r\n[data]\r\ntrain = a=b [c] \\#1 \\\\ d # e "
      "\\x\r\nlabels =\r\n",
      "a.ini");
  BOOST_TEST(deck.text("model.input") == "1x2");
  BOOST_TEST(deck.text("data.train") == "a=b [c] #1 \\ d");
  BOOST_TEST(deck.text("data.labels") == "");
  BOOST_TEST(deck.given("data.labels"));
  const Deck full_names("model.input = 3\nmodel.layer = relu\ndata.batch = 5",
                        "a.ini");  // sections are short for full names
  BOOST_TEST(full_names.integer("data.batch") == 5);
}

BOOST_AUTO_TEST_CASE(booleans_have_four_spellings) {
  for (const char* text : {"true", "yes", "on", "1"}) BOOST_TEST(Deck(deck_text(), "a.ini", {"train.trace=" + std::string(text)}).boolean("train.trace"));
  for (const char* text : {"false", "no", "off", "0"}) BOOST_TEST(!Deck(deck_text(), "a.ini", {"data.shuffle=" + std::string(text)}).boolean("data.shuffle"));
}

// The quotient is the one that double division gives, and the text stays as it was given.
BOOST_AUTO_TEST_CASE(fractions) {
  RandomStream random(11);
  for (int i = 0; i < 500; ++i) {
    const double a = random.uniform(-1e3, 1e3), b = static_cast<double>(1 + random.below(1000));
    const std::string text = fmt::format("{}{}{}", a, i % 2 == 0 ? "/" : " / ", b);
    BOOST_TEST(parse_real(text, "x") == a / b);
    const Deck deck(deck_text(), "a.ini", {"data.scale=" + text});
    BOOST_TEST(deck.real("data.scale") == a / b);
    BOOST_TEST(deck.text("data.scale") == text);
  }
}

BOOST_AUTO_TEST_CASE(numbers_read_back_to_the_same_bits) {
  RandomStream random(12);
  for (int i = 0; i < 2000; ++i) {
    const double x = std::ldexp(random.uniform(-1, 1), static_cast<int>(random.below(1800)) - 900);
    BOOST_TEST(parse_real(fmt::format(" {}\t", x), "x") == x);
    const auto n = static_cast<std::int64_t>(random.bits64());
    BOOST_TEST(parse_integer(fmt::format("{} ", n), "n") == n);
  }
  const std::int64_t largest = 9'000'000'000'000'000'000;
  BOOST_TEST(Deck(deck_text(), "a.ini", {"run.seed=" + std::to_string(largest)}).integer("run.seed") == largest);
}

BOOST_AUTO_TEST_CASE(lists) {
  const Deck deck(deck_text("[data]\nmean = 0.49, 125/255 ,4.0e-1\n"), "a.ini");
  BOOST_TEST(deck.items("data.mean") == (std::vector<std::string>{"0.49", "125/255", "0.4"}), boost::test_tools::per_element());
  BOOST_TEST(deck.reals("data.mean") == (std::vector<double>{0.49, 125.0 / 255.0, 0.4}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(later_overrides_win) {
  const Deck deck(deck_text("[data]\nbatch = 1\ntrain = a\n"), "a.ini",
                  {"data.batch=2", " optimizer.lr = 1/8 ", "data.batch=3", "data.train=c\\#d # e=f", "model.input=7x8"});
  BOOST_TEST(deck.integer("data.batch") == 3);
  BOOST_TEST(deck.real("optimizer.lr") == 0.125);
  BOOST_TEST(deck.given("optimizer.lr"));
  BOOST_TEST(deck.text("data.train") == "c\\#d # e=f");  // literally
  BOOST_TEST(deck.text("model.input") == "7x8");
  // An override may also supply what the deck lacks.
  BOOST_TEST(Deck("[model]\nlayer = relu\n", "a.ini", {"model.input=9"}).text("model.input") == "9");
}

BOOST_AUTO_TEST_SUITE_END()
