// Words of a command line: one positional argument, known flags, and --section.key=value overrides of the deck.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace trireme {

class Arguments {
 public:
  /// `options` lists names that take a value (--out FILE or --out=FILE), `flags` names that do not (--json). Words like --section.key=value
  /// are overrides, if `overrides_allowed`. Anything else is a usage error that names the nearest legal option. `usage` goes into it.
  Arguments(const std::vector<std::string>& words, const std::string& usage, const std::vector<std::string>& options,
            const std::vector<std::string>& flags, bool overrides_allowed);

  /// The positional argument number `i`; a usage error that says `what` when it is missing.
  const std::string& positional(std::size_t i, const std::string& what) const;
  std::size_t positionals() const { return positionals_.size(); }
  bool flag(const std::string& name) const { return values_.count(name) != 0; }
  std::string option(const std::string& name, const std::string& fallback = "") const;
  const std::vector<std::string>& overrides() const { return overrides_; }

 private:
  std::string usage_;
  std::vector<std::string> positionals_, overrides_;
  std::map<std::string, std::string> values_;
};

}  // namespace trireme
