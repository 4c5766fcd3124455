// What a deck says of the data sets inside of shards.
#pragma once

#include "config/deck.hpp"
#include "io/shard.hpp"

namespace trireme {

/// `labelled`: whether labels are wanted.
inline ShardNames shard_names(const Deck& deck, bool labelled = true) {
  return {.features = deck.text("data.features"),
          .labels = labelled ? deck.text("data.labels") : "",
          .allow_unwritten = deck.boolean("data.allow_unwritten"),
          .allow_external = deck.boolean("data.allow_external")};
}

}  // namespace trireme
