// Means and standard deviations of arrays, computed from the training data: `mean = auto` and `std = auto` of [array NAME].
#pragma once

#include <filesystem>

#include "comm/communicator.hpp"
#include "config/deck.hpp"

namespace trireme {

/// The deck with numbers in place of `auto` and of FILE:/DATASET in the mean and std of its arrays. If the run directory `run` exists, its deck.ini provides
/// the numbers, so that a resumed run keeps them; otherwise the training data are read once, by all ranks. The numbers do not depend on the number of ranks.
/// Collective. Throws usage and data errors.
Deck with_statistics(const Communicator& comm, const Deck& deck, const std::filesystem::path& run);

}  // namespace trireme
