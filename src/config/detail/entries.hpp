// The deck's dialect of INI: text into `section.key = value` entries, each with its place for messages.
#pragma once

#include <string>
#include <vector>

namespace trireme::detail {

struct DeckEntry {
  std::string key;         // "section.key", not checked against the table of keys; below [block NAME] the key alone
  std::string value;       // without surrounding white space, comment and escapes
  std::string where;       // "deck 'a.ini', line 7" or "command line"
  std::string block = {};  // NAME below [block NAME]
};

/// The entries of a deck in order. Throws usage errors: unknown section, line without '=', unknown escape, not a text.
std::vector<DeckEntry> parse_entries(const std::string& text, const std::string& origin);

/// One "section.key=value" of the command line; its value is taken literally, since the shell has escapes of its own.
DeckEntry parse_override(const std::string& text);

/// `value` as it must be written in a deck to be read as `value`.
std::string escaped(const std::string& value);

}  // namespace trireme::detail
