// The losses of a deck: [loss], or several [loss NAME], each of a range of the output's channels and a range of the target's.
#pragma once

#include <string>
#include <vector>

#include "losses/loss.hpp"

namespace trireme {

struct LossTerm {
  std::string name;    // [loss NAME]; empty: [loss]
  Deck deck;           // in which [loss] has the keys of this loss
  double weight = 1;   // in the sum
  std::string target;  // array of its targets
  Shape output;        // of one sample: the part that it compares
  LossTargets targets;
  std::int64_t first = 0;         // channel of the network's output
  std::int64_t first_target = 0;  // channel of the joined targets
  std::int64_t target_channels = 0;
  std::int64_t joined_targets = 0;  // channels of the joined targets
};

/// Whether the deck has [loss NAME] sections.
bool has_loss_terms(const Deck& deck);
/// The losses of a network with this output. Usage errors name the section. Not collective.
std::vector<LossTerm> loss_terms(const Deck& deck, const Shape& output);
/// Channels of the joined targets of several losses.
std::int64_t target_channels(const std::vector<LossTerm>& terms);

}  // namespace trireme
