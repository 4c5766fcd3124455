// Builders for entries of the table of deck keys, for keys.cpp and for registries whose kinds have their own keys (optimizers, losses, schedules).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/deck.hpp"

namespace trireme {

struct KeyRange {
  double low = -1e300, high = 1e300;
  bool open_low = false, open_high = false;  // the end itself is excluded
};
inline KeyRange at_least(double low) { return {.low = low}; }
inline KeyRange above(double low) { return {.low = low, .open_low = true}; }
inline KeyRange between(double low, double high) { return {.low = low, .high = high}; }
inline KeyRange from_to_below(double low, double high) { return {.low = low, .high = high, .open_high = true}; }

inline KeySpec key(const char* name, KeySpec::Type type, const char* fallback, const char* help) {
  return {.name = name, .type = type, .fallback = fallback, .choices = {}, .help = help};
}
/// An integer or real number in a range. Every integer has both limits; the default upper limit is 1e9.
inline KeySpec number(const char* name, KeySpec::Type type, const char* fallback, const KeyRange& range, const char* help) {
  KeySpec spec = key(name, type, fallback, help);
  spec.low = range.low, spec.high = range.high, spec.open_low = range.open_low, spec.open_high = range.open_high;
  if (type == KeySpec::Type::integer && spec.high == KeyRange{}.high) spec.high = 1e9;
  return spec;
}
/// One of `choices`; the default must be one of them.
inline KeySpec choice(const char* name, std::vector<std::string> choices, const char* fallback, const char* help) {
  KeySpec spec = key(name, KeySpec::Type::choice, fallback, help);
  spec.choices = std::move(choices);
  return spec;
}
/// The same; the first choice is the default.
inline KeySpec choice(const char* name, const std::vector<std::string>& choices, const char* help) {
  return choice(name, choices, choices.front().c_str(), help);
}

/// Adds keys to their sections of the table, which must exist. Registries call it before main(); a call after the first use of the table is an internal error.
/// Returns true.
bool add_deck_keys(const std::vector<KeySpec>& keys);
/// The keys of all kinds of a registry.
template <class Kind>
bool add_keys_of(const std::vector<Kind>& kinds) {
  for (const Kind& kind : kinds) add_deck_keys(kind.keys);
  return true;
}

}  // namespace trireme
