// Errors that a test expects.
#pragma once

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace trireme::test {

/// Expects an error of `code` whose message holds all of `words`.
template <class Action>
void check_error(Action action, ExitCode code, const std::vector<std::string>& words) {
  try {
    action();
    BOOST_ERROR("no error; expected one with: " << words.front());
  } catch (const Error& error) {
    const std::string message = error.what();
    BOOST_TEST(static_cast<int>(error.code()) == static_cast<int>(code), message);
    for (const auto& word : words) BOOST_TEST((message.find(word) != std::string::npos), "the message lacks '" << word << "': " << message);
    BOOST_TEST((message.find('\n') == std::string::npos), "the message has several lines: " << message);
  }
}

}  // namespace trireme::test
