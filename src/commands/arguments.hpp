// Arguments of a command line, checked against the options of a command.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace trireme {

/// --name VALUE (or --name=VALUE), or --name alone if `value` is empty.
struct CommandOption {
  std::string name;
  std::string value;    // placeholder in capitals: "FILE.h5"
  std::string help;     // description, with default and unit
  bool hidden = false;  // for tests and old spellings: not shown in help
};

class Arguments {
 public:
  /// Arguments like --section.key=value are overrides, if `overrides_allowed`; at most `operands_most` arguments without dashes are operands. All others are
  /// usage errors that suggest the nearest legal option and include `usage`.
  Arguments(const std::vector<std::string>& words, const std::string& usage, const std::vector<CommandOption>& options, bool overrides_allowed,
            int operands_most = 1);

  /// Operand number `i`. If it is missing, throws a usage error that names `what`.
  const std::string& operand(std::size_t i, const std::string& what) const;
  std::size_t operands() const { return operands_.size(); }
  bool flag(const std::string& name) const { return values_.count(name) != 0; }
  std::string option(const std::string& name, const std::string& fallback = "") const;
  const std::vector<std::string>& overrides() const { return overrides_; }
  /// For messages.
  const std::string& usage() const { return usage_; }

 private:
  std::string usage_;
  std::vector<std::string> operands_, overrides_;
  std::map<std::string, std::string> values_;
};

/// "[--trace] [--out FILE]"
std::string usage_of(const std::vector<CommandOption>& options);
/// One or more lines for each option.
std::string help_of(const std::vector<CommandOption>& options);

}  // namespace trireme
