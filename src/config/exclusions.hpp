// Options that exclude each other: one table, which is checked when a deck is read and printed in the deck reference.
#pragma once

#include <string>
#include <vector>

#include "config/deck.hpp"

namespace trireme {

/// "optimizer.shard = true", or "data.virtual_ranks > 0".
struct Condition {
  std::string key;
  std::vector<std::string> values = {};  // matches any of these; empty: matches values greater than `above`
  double above = 0;

  bool holds(const Deck& deck) const;
  std::string text() const;                  // "task.mode = average or tournament"
  std::string text(const Deck& deck) const;  // with the value of the deck: "task.mode = average"
};

/// Conditions that must not hold together.
struct Exclusion {
  std::vector<Condition> conditions;
  std::string because, remedy;
};
const std::vector<Exclusion>& exclusions();

/// A usage error that names the options that exclude each other, the reason, and the remedy.
void check_exclusions(const Deck& deck);

}  // namespace trireme
