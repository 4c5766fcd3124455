// Decks drawn from the table of keys: what is written is what is read, and resolved() reads back to an equal deck.
#include <fmt/ranges.h>

#include <cmath>

#include "base/error.hpp"
#include "base/random.hpp"
#include "config/exclusions.hpp"
#include "support.hpp"

using namespace trireme;

namespace {

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) result += (c == '#' ? "\\#" : c == '\\' ? "\\\\" : std::string(1, c));
  return result;
}

std::string random_text(RandomStream& random, bool filled) {
  static const std::string letters = "abcXYZ019_-./*?[]{}=,;:'\"$%&()<>|!~ #\\";
  std::string text;
  const std::size_t length = random.below(20) + (filled ? 1 : 0);
  for (std::size_t i = 0; i < length; ++i) text += letters[random.below(letters.size())];
  if (random.below(4) == 0) text += "Größe";
  while (!text.empty() && text.back() == ' ') text.back() = 'x';
  while (!text.empty() && text.front() == ' ') text.front() = 'x';
  return text;
}

std::int64_t random_integer(RandomStream& random, const KeySpec& key) {
  const auto low = key.low == -1e300 ? std::int64_t{-1'000'000} : static_cast<std::int64_t>(key.low);
  const auto high = key.high == 1e300 ? std::numeric_limits<std::int64_t>::max() : static_cast<std::int64_t>(key.high);
  switch (random.below(4)) {
    case 0:
      return low;
    case 1:
      return high;
    case 2:
      return std::min(high, low + static_cast<std::int64_t>(random.below(1000)));
    default:
      return low + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low)));
  }
}

/// A real of the key's range and a text that means it.
std::pair<double, std::string> random_real(RandomStream& random, const KeySpec& key) {
  while (true) {
    double value = 0;
    std::string text;
    switch (random.below(5)) {
      case 0:
        value = key.low == -1e300 ? -7 : key.low;
        break;
      case 1:
        value = key.high == 1e300 ? 7 : key.high;
        break;
      case 2:
        value = std::ldexp(random.uniform(-1, 1), static_cast<int>(random.below(60)) - 50);
        break;
      case 3:
        value = random.uniform(std::max(key.low, -1e6), std::min(key.high, 1e6));
        break;
      default: {
        const auto a = random.below(1000), b = 1 + random.below(1000);
        value = static_cast<double>(a) / static_cast<double>(b);
        text = fmt::format("{}/{}", a, b);
      }
    }
    const bool above = key.open_low ? value > key.low : value >= key.low, below = key.open_high ? value < key.high : value <= key.high;
    if (above && below) return {value, text.empty() ? fmt::format("{}", value) : text};
  }
}

std::string random_word(RandomStream& random) { return fmt::format("w{}", random.below(1'000'000)); }

std::string random_layer(RandomStream& random) {
  std::string line = random_word(random);
  if (random.below(2) == 0) line += " name=" + random_word(random);
  if (random.below(3) == 0) line += " from=" + random_word(random) + "," + random_word(random);
  for (std::uint64_t i = random.below(4); i > 0; --i) line += fmt::format("{}o{}={},3", i % 2 == 0 ? " " : " \t ", i, random_word(random));
  if (random.below(4) == 0) line += " odd=a#b\\c";
  return line;
}

bool equal(const LayerSpec& a, const LayerSpec& b) {
  return a.kind == b.kind && a.name == b.name && a.from == b.from && a.options == b.options && a.number == b.number && a.text == b.text;
}

void check_equal(const Deck& a, const Deck& b) {
  for (const KeySpec& key : deck_keys()) {
    BOOST_TEST(a.text(key.name) == b.text(key.name));
    switch (key.type) {
      case KeySpec::Type::integer:
        BOOST_TEST(a.integer(key.name) == b.integer(key.name));
        break;
      case KeySpec::Type::real:
        BOOST_TEST(a.real(key.name) == b.real(key.name));
        break;
      case KeySpec::Type::boolean:
        BOOST_TEST(a.boolean(key.name) == b.boolean(key.name));
        break;
      case KeySpec::Type::list:
        BOOST_TEST(a.reals(key.name) == b.reals(key.name), boost::test_tools::per_element());
        break;
      default:
        break;
    }
  }
  BOOST_REQUIRE(a.layers().size() == b.layers().size());
  for (std::size_t i = 0; i < a.layers().size(); ++i) BOOST_TEST(equal(a.layers()[i], b.layers()[i]));
}

/// A value for `key` as text, and the check that a deck holds it.
std::pair<std::string, std::function<void(const Deck&)>> random_value(RandomStream& random, const KeySpec& key) {
  const std::string name = key.name;
  switch (key.type) {
    case KeySpec::Type::integer: {
      const auto value = random_integer(random, key);
      return {std::to_string(value), [=](const Deck& deck) { BOOST_TEST(deck.integer(name) == value); }};
    }
    case KeySpec::Type::real: {
      const auto [value, text] = random_real(random, key);
      return {text, [name, v = value](const Deck& deck) { BOOST_TEST(deck.real(name) == v); }};
    }
    case KeySpec::Type::boolean: {
      const bool value = random.below(2) == 0;
      return {value ? "true" : "false", [=](const Deck& deck) { BOOST_TEST(deck.boolean(name) == value); }};
    }
    case KeySpec::Type::list: {
      std::vector<double> values;
      std::vector<std::string> texts;
      for (std::uint64_t i = random.below(5); i > 0; --i) {
        auto [value, text] = random_real(random, key);
        values.push_back(value), texts.push_back(text);
      }
      return {fmt::format("{}", fmt::join(texts, " , ")), [=](const Deck& deck) { BOOST_TEST(deck.reals(name) == values, boost::test_tools::per_element()); }};
    }
    case KeySpec::Type::shape: {
      const std::string text = fmt::format("{}x{}", 1 + random.below(9), 1 + random.below(4096));
      return {text, [=](const Deck& deck) { BOOST_TEST(deck.text(name) == text); }};
    }
    default: {
      const std::string text = key.type == KeySpec::Type::choice ? key.choices[random.below(key.choices.size())] : random_text(random, key.filled);
      return {text, [=](const Deck& deck) { BOOST_TEST(deck.text(name) == text); }};
    }
  }
}

bool may_exclude(const std::string& key) {
  return std::ranges::any_of(exclusions(),
                             [&](const Exclusion& one) { return std::ranges::find(one.conditions, key, &Condition::key) != one.conditions.end(); });
}

/// Whether a random deck has options that exclude each other.
bool excluded(const std::string& text, const std::vector<std::string>& overrides) {
  try {
    const Deck deck(text, "random.ini", overrides);
    return false;
  } catch (const Error& error) {
    return std::string(error.what()).find("exclude each other") != std::string::npos;
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(round_trip)

BOOST_AUTO_TEST_CASE(random_decks) {
  int accepted = 0;
  for (std::uint64_t seed = 0; accepted < 200; ++seed) {
    BOOST_REQUIRE(seed < 4000u);
    RandomStream random(seed);
    std::map<std::string, std::string> sections;  // in alphabetical order: the order of sections is free
    std::vector<std::string> overrides;
    std::vector<std::function<void(const Deck&)>> checks;
    for (const KeySpec& key : deck_keys()) {
      const bool give = key.required || random.below(may_exclude(key.name) ? 8 : 2) == 0;
      if (give) {
        const auto [text, check] = random_value(random, key);
        if (!key.required && random.below(5) == 0)
          overrides.push_back(key.name + "=" + text);
        else
          sections[key.name.substr(0, key.name.find('.'))] += key.name.substr(key.name.find('.') + 1) + " = " + escaped(text) + " # said\n";
        checks.push_back(check);
      }
      checks.push_back([=, name = key.name](const Deck& deck) { BOOST_TEST(deck.given(name) == give); });
    }
    std::vector<std::string> lines;
    for (std::uint64_t i = 1 + random.below(6); i > 0; --i) lines.push_back(random_layer(random));
    for (const std::string& line : lines) sections["model"] += "layer = " + escaped(line) + "\n";
    std::string text;
    for (const auto& [section, body] : sections) text += fmt::format("[{}]\n{}", section, body);

    BOOST_TEST_CONTEXT("seed " << seed << "\n" << text) {
      if (excluded(text, overrides)) continue;
      ++accepted;
      const Deck deck(text, "random.ini", overrides);
      for (const auto& check : checks) check(deck);
      BOOST_REQUIRE(deck.layers().size() == lines.size());
      for (std::size_t i = 0; i < lines.size(); ++i) BOOST_TEST(deck.layers()[i].text == lines[i]);

      const std::string resolved = deck.resolved();
      const Deck again(resolved, "resolved");
      check_equal(deck, again);
      BOOST_TEST(again.resolved() == resolved);
    }
  }
}

BOOST_AUTO_TEST_CASE(resolved_spellings) {
  const Deck deck(test::deck_text("[data]\nscale = 1/255\nbatch = 007\nshuffle = on\nstd = 1/2, 2.50\n[optimizer]\nlr = 1.0E-2\n"), "a.ini");
  const std::string resolved = fmt::format("\n{}", deck.resolved());
  for (const char* line : {"scale = 1/255", "batch = 7", "shuffle = true", "std = 1/2, 2.5", "lr = 0.01", "input = 1x28x28", "mean =", "layer = linear out=10",
                           "[checkpoint]", "epsilon = 1e-08"})
    BOOST_TEST(resolved.find(fmt::format("\n{}\n", line)) != std::string::npos, line << " is missing in " << resolved);
}

BOOST_AUTO_TEST_SUITE_END()
