// How a deck says that files are to be read: names, order of axes, normalisation, and what numbers may be.
#pragma once

#include <vector>

#include "config/deck.hpp"
#include "data/data_set.hpp"
#include "data/value_check.hpp"

namespace trireme {

/// What the deck says of the data sets inside the files; `labelled`: whether labels are wanted. Usage errors name the key.
ShardNames shard_names(const Deck& deck, bool labelled = true);

/// Of the features: number * factor + shift, one a channel. Usage errors name the key.
struct Normalisation {
  std::vector<double> factor, shift;
};
Normalisation normalisation(const Deck& deck, const Shape& input);

/// What the numbers in files must be for a run of this deck. `single`: it computes in fp32.
ValueRule feature_rule(const Deck& deck, const Shape& input, const LabelDemand& labels, bool single);
ValueRule label_rule(const Deck& deck, const LabelDemand& labels, bool single);

}  // namespace trireme
