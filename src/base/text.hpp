// Small text helpers: splitting, trimming, and "did you mean".
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

std::string_view trim(std::string_view text);
/// Splits at `separator`, trims each part; an empty text gives no parts.
std::vector<std::string> split(std::string_view text, char separator);
/// Splits at runs of white space.
std::vector<std::string> words(std::string_view text);
/// The candidate with the smallest edit distance (Levenshtein); empty when there are no candidates.
std::string nearest(std::string_view word, std::span<const std::string> candidates);
/// 1536 -> "1.5 KiB"
std::string human_bytes(double bytes);
/// 3725.4 -> "1 h 02 min", 75.2 -> "1 min 15 s", 4.21 -> "4.2 s"
std::string human_seconds(double seconds);

}  // namespace trireme
