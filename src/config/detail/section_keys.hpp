// Sections with a name, such as [array NAME]: a deck may have several of one kind, and each has all keys of its kind.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/deck.hpp"

namespace trireme::detail {

/// Kinds of named sections, with the sentence that introduces each in the deck reference.
struct SectionKind {
  std::string name;
  std::string help;
  std::vector<KeySpec> keys;  // named "array.data"
};
const std::vector<SectionKind>& section_kinds();

/// The kind of a named section; null: there is none of this name.
const SectionKind* find_section_kind(std::string_view kind);

/// "array NAME" -> "array.NAME"; empty for other sections. Throws a usage error if NAME is not a valid name.
std::string named_section(std::string_view section, const std::string& where);

}  // namespace trireme::detail
