#include "commands/arguments.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"

namespace trireme {

Arguments::Arguments(const std::vector<std::string>& words, const std::string& usage, const std::vector<CommandOption>& options, bool overrides_allowed,
                     int operands_most)
    : usage_(usage) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!word.starts_with("--")) {
      operands_.push_back(word);
      if (std::ssize(operands_) > operands_most) throw usage_error("unexpected argument '{}'. Usage: {}", word, usage);
      continue;
    }
    const auto equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const auto option = std::ranges::find(options, name, &CommandOption::name);
    if (option != options.end() && option->value.empty() && equals == std::string::npos) {
      values_[name] = "";
    } else if (option != options.end() && !option->value.empty()) {
      if (equals == std::string::npos && i + 1 == words.size()) throw usage_error("option --{} needs a value: {}. Usage: {}", name, option->value, usage);
      values_[name] = equals == std::string::npos ? words[++i] : word.substr(equals + 1);
    } else if (option != options.end()) {
      throw usage_error("option --{} takes no value; found '{}'. Usage: {}", name, word, usage);
    } else if (overrides_allowed && name.find('.') != std::string::npos && equals != std::string::npos) {
      overrides_.push_back(word.substr(2));
    } else {
      std::vector<std::string> known;
      for (const CommandOption& one : options)
        if (!one.hidden) known.push_back(one.name);
      const std::string close = near_name(name, known);
      throw usage_error("unknown option '{}'{}. Usage: {}", word, close.empty() ? "" : fmt::format("; did you mean --{}?", close), usage);
    }
  }
}

const std::string& Arguments::operand(std::size_t i, const std::string& what) const {
  if (i >= operands_.size()) throw usage_error("{} is missing. Usage: {}", what, usage_);
  return operands_[i];
}

std::string Arguments::option(const std::string& name, const std::string& fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? fallback : found->second;
}

std::string usage_of(const std::vector<CommandOption>& options) {
  std::string text;
  for (const CommandOption& option : options)
    if (!option.hidden) text += option.value.empty() ? fmt::format(" [--{}]", option.name) : fmt::format(" [--{} {}]", option.name, option.value);
  return text;
}

std::string help_of(const std::vector<CommandOption>& options) {
  std::string text;
  for (const CommandOption& option : options)
    if (!option.hidden) text += fmt::format("  {:<24} {}\n", fmt::format("--{} {}", option.name, option.value), option.help);
  return text;
}

}  // namespace trireme
