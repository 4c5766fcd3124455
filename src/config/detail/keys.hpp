// Looking up names in the table of keys, and values checked against it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "config/deck.hpp"

namespace trireme::detail {

/// The key of [model] that may be repeated, and so has no entry in the table.
inline constexpr std::string_view layer_key = "model.layer";

/// "data.batch" -> "data" and "batch"; a name without '.' has no section.
std::string_view section_of(std::string_view key);
std::string_view name_in_section(std::string_view key);

/// Sections in the order of the table.
const std::vector<std::string>& deck_sections();
/// Throws a usage error with the nearest section unless `section` is one.
void check_section(std::string_view section, const std::string& where);

/// The table's entry, or nullptr.
const KeySpec* find_key(std::string_view key);
/// The error for a key that is not in the table: says which legal one was probably meant.
Error unknown_key(std::string_view key, const std::string& where);

/// Checks `value` against type, choices and range, and brings it into the form that a Deck keeps: integers, booleans
/// and shapes in one spelling, reals in the shortest that reads back to the same bits, fractions as they were given.
std::string checked(const KeySpec& spec, const std::string& value, const std::string& where);
/// What a value must be: "integer >= 1", "one of sgd, adam, adamw".
std::string expectation(const KeySpec& spec);

}  // namespace trireme::detail
