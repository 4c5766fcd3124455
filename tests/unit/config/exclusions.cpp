// Options that exclude each other: each row of the table is refused with the options' names, and every option is legal by itself.
#include "config/exclusions.hpp"

#include <boost/test/unit_test.hpp>

#include "base/error.hpp"

using namespace trireme;

namespace {

const std::string minimal = "[model]\ninput = 1x4x4\nlayer = flatten\nlayer = linear out=2\n";

std::vector<std::string> words_for(const Exclusion& exclusion, std::size_t without) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < exclusion.conditions.size(); ++i) {
    const Condition& condition = exclusion.conditions[i];
    // The one that is left out gets a value that the condition does not name: the default, unless that holds, too.
    std::string value = condition.values.empty() ? std::to_string(static_cast<int>(condition.above) + 2) : condition.values.back();
    if (i == without) value = condition.key == "loss.kind" ? "mse" : condition.values == std::vector<std::string>{"0"} ? "4" : "";
    if (!value.empty()) words.push_back(condition.key + "=" + value);
  }
  return words;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(options_that_exclude_each_other)

BOOST_AUTO_TEST_CASE(are_refused_with_their_names_and_a_remedy) {
  for (const Exclusion& exclusion : exclusions()) {
    const auto words = words_for(exclusion, exclusion.conditions.size());
    try {
      const Deck deck(minimal, "test", words);
      BOOST_ERROR("accepted: " << words.front() << " ...");
    } catch (const Error& error) {
      const std::string text = error.what();
      BOOST_TEST((error.code() == ExitCode::usage));
      for (const Condition& condition : exclusion.conditions) BOOST_TEST(text.find(condition.key + " = ") != std::string::npos, text);
      BOOST_TEST(text.find("Hint: " + exclusion.remedy) != std::string::npos, text);
    }
  }
}

BOOST_AUTO_TEST_CASE(are_accepted_without_one_of_them) {
  for (const Exclusion& exclusion : exclusions())
    for (std::size_t without = 0; without < exclusion.conditions.size(); ++without) BOOST_CHECK_NO_THROW(Deck(minimal, "test", words_for(exclusion, without)));
}

BOOST_AUTO_TEST_SUITE_END()
