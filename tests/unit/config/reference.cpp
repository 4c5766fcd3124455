#include <sstream>

#include "support.hpp"

using namespace trireme;

namespace {

/// The lines between the heading of `section` and the next.
std::vector<std::string> lines_of(const std::string& section) {
  std::istringstream page(deck_reference());
  std::vector<std::string> lines;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## "))
      inside = line == "## [" + section + "]";
    else if (inside)
      lines.push_back(line);
  }
  return lines;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(deck_page)

BOOST_AUTO_TEST_CASE(the_table_is_sound) {
  std::map<std::string, int> names;
  for (const KeySpec& key : deck_keys()) {
    BOOST_TEST(++names[key.name] == 1);
    BOOST_TEST(key.name.find('.') != std::string::npos);
    BOOST_TEST(key.help.ends_with("."));
    BOOST_TEST(key.help.find_first_of("|\n") == std::string::npos);  // one cell of a Markdown table
    BOOST_TEST((key.type == KeySpec::Type::choice) == !key.choices.empty());
    BOOST_TEST(key.low < key.high);
  }
}

// Every key has one row, in its section's table, with its default, its choices and its meaning; every row has four
// cells.
BOOST_AUTO_TEST_CASE(every_key_has_one_row) {
  for (const KeySpec& key : deck_keys()) {
    const auto dot = key.name.find('.');
    int rows = 0;
    for (const std::string& line : lines_of(key.name.substr(0, dot))) {
      if (!line.starts_with("| `" + key.name.substr(dot + 1) + "` |")) continue;
      ++rows;
      BOOST_TEST(std::count(line.begin(), line.end(), '|') == 5);
      BOOST_TEST(line.find(key.help) != std::string::npos);
      BOOST_TEST(line.find(key.required ? "required" : key.fallback.empty() ? "empty" : "`" + key.fallback + "`") != std::string::npos);
      for (const std::string& choice : key.choices) BOOST_TEST(line.find(choice) != std::string::npos);
    }
    BOOST_TEST_CONTEXT(key.name) BOOST_TEST(rows == 1);
  }
  const auto model = lines_of("model");
  BOOST_TEST(std::count_if(model.begin(), model.end(), [](const std::string& l) { return l.starts_with("| `layer` |"); }) == 1);
}

BOOST_AUTO_TEST_SUITE_END()
