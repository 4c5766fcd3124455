// Words that a refused deck must say, and decks to refuse.
#pragma once

#include <boost/test/unit_test.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "config/deck.hpp"

namespace trireme::test {

/// A legal deck of five lines; `more` follows from line 6, still below [model].
inline std::string deck_text(const std::string& more = "") { return "# a comment\n[model]\ninput = 1x28x28\nlayer = flatten\nlayer = linear out=10\n" + more; }

/// Checks that `action` throws a usage error whose message holds each of `words`.
inline void check_refused(const std::function<void()>& action, const std::vector<std::string>& words) {
  try {
    action();
    BOOST_ERROR("was not refused; expected a message with '" + words.front() + "'");
  } catch (const Error& error) {
    BOOST_TEST((error.code() == ExitCode::usage));
    const std::string message = error.what();
    for (const std::string& word : words) BOOST_TEST(message.find(word) != std::string::npos, "'" << word << "' is missing in: " << message);
  }
}

inline void check_refused(const std::string& text, const std::vector<std::string>& words, const std::vector<std::string>& overrides = {}) {
  check_refused([&] { Deck(text, "a.ini", overrides); }, words);
}

}  // namespace trireme::test
