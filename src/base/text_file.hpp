// Reads a whole text file of limited size.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace trireme {

/// Maximum size of decks and task tables in bytes, so that a device or a wrong file does not fill the memory.
inline constexpr std::size_t largest_text = std::size_t{16} << 20;

/// Reads the file into `text` and returns an empty string, or returns the reason for a failure. Reads at most `largest_text` bytes.
std::string read_text(const std::filesystem::path& file, std::string& text);

}  // namespace trireme
