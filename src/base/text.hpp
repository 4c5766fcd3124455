// Text helpers: splitting, trimming, and suggestions for misspelled words.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

std::string_view trim(std::string_view text);
/// Splits at `separator` and trims each part; an empty text has no parts.
std::vector<std::string> split(std::string_view text, char separator);
/// Splits at white space.
std::vector<std::string> words(std::string_view text);
/// The candidate that is probably meant by a misspelled word; empty if none is near. An edit is an added, missing or wrong letter, or two letters that are
/// swapped; upper and lower case are the same. Near is one edit in a word of up to 4 letters; else two edits, or a third of the letters.
std::string near_name(std::string_view word, std::span<const std::string> candidates);
/// "did you mean 'train'? ", for hints that go on; empty if nothing is near.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);
/// ". Hint: did you mean 'train'?", for the end of a message; empty if nothing is near.
std::string near_hint(std::string_view word, std::span<const std::string> candidates);
/// NaN without a sign, for text: "nan", never "-nan". Other numbers stay.
double without_nan_sign(double value);
/// 1536 -> "1.5 KiB"
std::string human_bytes(double bytes);
/// 3725.4 -> "1 h 02 min", 75.2 -> "1 min 15 s", 4.21 -> "4.2 s"
std::string human_seconds(double seconds);

}  // namespace trireme
