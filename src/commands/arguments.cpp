#include "commands/arguments.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"

namespace trireme {

Arguments::Arguments(const std::vector<std::string>& words, const std::string& usage, const std::vector<std::string>& options,
                     const std::vector<std::string>& flags, bool overrides_allowed)
    : usage_(usage) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!word.starts_with("--")) {
      positionals_.push_back(word);
      continue;
    }
    const auto equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    if (std::ranges::count(flags, name) && equals == std::string::npos) {
      values_[name] = "";
    } else if (std::ranges::count(options, name)) {
      if (equals == std::string::npos && i + 1 == words.size()) throw usage_error("option --{} wants a value. Usage: {}", name, usage);
      values_[name] = equals == std::string::npos ? words[++i] : word.substr(equals + 1);
    } else if (overrides_allowed && name.find('.') != std::string::npos && equals != std::string::npos) {
      overrides_.push_back(word.substr(2));
    } else {
      std::vector<std::string> known = options;
      known.insert(known.end(), flags.begin(), flags.end());
      const std::string close = nearest(name, known);
      throw usage_error("unknown option '{}'{}. Usage: {}", word, close.empty() ? "" : fmt::format("; did you mean --{}?", close), usage);
    }
  }
}

const std::string& Arguments::positional(std::size_t i, const std::string& what) const {
  if (i >= positionals_.size()) throw usage_error("{} is missing. Usage: {}", what, usage_);
  return positionals_[i];
}

std::string Arguments::option(const std::string& name, const std::string& fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? fallback : found->second;
}

}  // namespace trireme
