#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <numeric>

namespace trireme {

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  if (trim(text).empty()) return parts;
  while (true) {
    const auto at = text.find(separator);
    parts.emplace_back(trim(text.substr(0, at)));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    text = trim(text);
    if (text.empty()) return parts;
    const auto end = std::min(text.find_first_of(" \t\r\n"), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

namespace {

/// Number of edits between two words: letters added, removed, changed, or swapped with the next one (optimal string alignment distance).
std::size_t edits_between(std::string_view a, std::string_view b) {
  const auto same = [](char x, char y) { return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y)); };
  std::vector<std::size_t> before, last(b.size() + 1), row(b.size() + 1);  // of a's first i - 2, i - 1 and i letters
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({row[j - 1] + 1, last[j] + 1, last[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = last;
    last = row;
  }
  return last.back();
}

}  // namespace

std::string near_name(std::string_view word, std::span<const std::string> candidates) {
  constexpr std::size_t longest = 200;  // longer words are no misspelled names
  if (word.size() > longest) return {};
  const std::size_t most = word.size() <= 4 ? 1 : std::max<std::size_t>(2, word.size() / 3);
  std::size_t fewest = most + 1;
  std::string near;
  for (const auto& candidate : candidates) {
    if (candidate.size() > longest + most) continue;
    if (const std::size_t edits = edits_between(word, candidate); edits < fewest) fewest = edits, near = candidate;
  }
  return near;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const std::string name = near_name(word, candidates);
  return name.empty() ? name : fmt::format("did you mean '{}'? ", name);
}

std::string near_hint(std::string_view word, std::span<const std::string> candidates) {
  const std::string name = near_name(word, candidates);
  return name.empty() ? name : fmt::format(". Hint: did you mean '{}'?", name);
}

double without_nan_sign(double value) { return std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value; }

std::string human_bytes(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 5) bytes /= 1024, ++unit;
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, units[unit]);
}

std::string human_seconds(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  if (seconds < 0.1) return fmt::format("{:.1f} ms", seconds * 1e3);
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

}  // namespace trireme
