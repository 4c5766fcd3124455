// How the deck describes the data files: names, order of axes, normalization, and allowed values.
#pragma once

#include <optional>
#include <vector>

#include "config/deck.hpp"
#include "data/data_set.hpp"
#include "data/value_check.hpp"
#include "losses/loss_terms.hpp"

namespace trireme {

/// Names of the data sets inside the files, from the deck. `labelled`: whether labels are needed. Usage errors name the key.
ShardNames shard_names(const Deck& deck, bool labelled = true);

/// Normalization of features: number * factor + shift, one pair per channel. Usage errors name the key.
struct Normalization {
  std::vector<double> factor, shift;
};
Normalization normalization(const Deck& deck, const Shape& input);
/// Normalization of labels that are values ([array NAME] scale, mean, std): of one loss's targets; of the joined targets of all losses; of the channels of the
/// network's output, in the units of their targets. Empty: none. Usage errors name the key.
std::optional<Normalization> target_normalization(const LossTerm& term);
std::optional<Normalization> target_normalization(const Deck& deck, const Shape& output);
std::optional<Normalization> output_normalization(const Deck& deck, const Shape& output);

/// Allowed values in the files for a run with this deck. `single`: the run computes in fp32.
ValueRule feature_rule(const Deck& deck, const Shape& input, const LabelDemand& labels, bool single);
ValueRule label_rule(const Deck& deck, const LabelDemand& labels, bool single);

}  // namespace trireme
