// A whole text file in memory, up to a size.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace trireme {

/// No deck and no table of tasks is larger: a device or a wrong file does not fill the memory.
inline constexpr std::size_t largest_text = std::size_t{16} << 20;

/// Why it cannot be read, in a word for a message; empty: `text` holds it. Reads no more than `largest_text`.
std::string read_text(const std::filesystem::path& file, std::string& text);

}  // namespace trireme
