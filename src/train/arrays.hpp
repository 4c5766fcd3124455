// The arrays of a deck: [array NAME] sections, or the short form [data] features and labels.
#pragma once

#include <string>
#include <vector>

#include "config/deck.hpp"
#include "io/shard.hpp"

namespace trireme {

/// Fills the arrays of `names` if the deck has [array] sections, or if data.features or data.labels say more than the name of a dataset. `labelled`: whether
/// labels are needed. Usage errors name the key.
void join_arrays(const Deck& deck, ShardNames& names, bool labelled);

/// The range of rows of data.train_rows or data.test_rows.
ExtentRange parse_rows(const Deck& deck, const std::string& key);
/// The rows of files `where` that evaluate and predict use: those of data.test_rows or data.train_rows if the deck reads the same files, else all.
ExtentRange rows_for(const Deck& deck, const std::string& where);

}  // namespace trireme
