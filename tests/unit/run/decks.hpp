// A small deck for tests of the files of a run.
#pragma once

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "config/deck.hpp"

namespace trireme::test {

inline Deck small_deck(const std::vector<std::string>& overrides = {}) {
  return Deck("[run]\nname = small\n[data]\ntrain = a\n[model]\ninput = 4\nlayer = linear out=2\n", "small.ini", overrides);
}

inline std::string content_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

inline void write_file(const std::filesystem::path& file, const std::string& text) { std::ofstream(file, std::ios::binary) << text; }

}  // namespace trireme::test
