// Looking up a kind in a registry: a table whose entries have a `name` (cmake/TriremeRegistries.cmake collects them).
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace trireme {

/// The entry of this name. An internal error where there is none: the deck's keys allow no other names than those of the tables.
template <class Kind>
const Kind& entry_of(const std::vector<Kind>& kinds, std::string_view name) {
  const auto found = std::ranges::find(kinds, name, &Kind::name);
  if (found == kinds.end()) throw internal_error("no kind '{}' is registered", name);
  return *found;
}

}  // namespace trireme
