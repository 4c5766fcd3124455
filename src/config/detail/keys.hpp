// Lookup in the table of keys, and checks of values against it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "config/deck.hpp"

namespace trireme::detail {

/// The key of [model] that can be repeated and therefore has no entry in the table.
inline constexpr std::string_view layer_key = "model.layer";

/// "data.batch" -> "data" and "batch"; a name without '.' has no section.
std::string_view section_of(std::string_view key);
std::string_view name_in_section(std::string_view key);

/// The table, without the keys that registries add.
std::vector<KeySpec> make_keys();

/// Sections, in the order of the table.
const std::vector<std::string>& deck_sections();
/// Throws a usage error with the nearest name if `section` does not exist.
void check_section(std::string_view section, const std::string& where);

/// The entry of the table; null: there is none.
const KeySpec* find_key(std::string_view key);
/// The current name of a key that an earlier version called `key`; empty: it was not renamed.
std::string new_name_of(std::string_view key);
/// The text of a deck that an earlier version wrote (Deck::resolved), with the current names of keys.
std::string with_new_names(const std::string& text);
/// The error for a key that is not in the table; it suggests the nearest key.
Error unknown_key(std::string_view key, const std::string& where);

/// Checks `value` against type, choices and range, and converts it to the form that Deck stores: one spelling for integers, booleans and shapes; the shortest
/// text that reads back to the same bits for reals; fractions as written.
std::string checked(const KeySpec& spec, const std::string& value, const std::string& where);
/// Description of legal values: "integer >= 1", "one of sgd, adam, adamw".
std::string expectation(const KeySpec& spec);

}  // namespace trireme::detail
