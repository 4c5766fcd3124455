// The INI dialect of decks: parses text into `section.key = value` entries with their location for messages.
#pragma once

#include <string>
#include <vector>

namespace trireme::detail {

struct DeckEntry {
  std::string key;         // "section.key", not checked against the table of keys; below [block NAME] only the key
  std::string value;       // without surrounding white space, comments and escapes
  std::string where;       // "deck 'a.ini', line 7" or "command line"
  std::string block = {};  // NAME below [block NAME]
};

/// The entries of a deck in order. Throws usage errors: unknown section, line without '=', unknown escape, invalid text.
std::vector<DeckEntry> parse_entries(const std::string& text, const std::string& origin);

/// One "section.key=value" of the command line. The value is taken literally, because the shell has its own escapes.
DeckEntry parse_override(const std::string& text);

/// Escapes `value` so that a deck that contains the result reads `value`.
std::string escaped(const std::string& value);

}  // namespace trireme::detail
