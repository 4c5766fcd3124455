// Reads the deck once, on rank 0, so that all ranks have the same deck.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "config/deck.hpp"

namespace trireme {

/// Reads `file` on rank 0 and parses it with `overrides` on every rank. Collective.
Deck shared_deck(const Communicator& comm, const std::filesystem::path& file, const std::vector<std::string>& overrides);

}  // namespace trireme
