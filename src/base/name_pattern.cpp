#include "base/name_pattern.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"

namespace trireme {

namespace {

bool match_stars(std::string_view pattern, std::string_view name, std::vector<std::string>& found) {
  const auto star = pattern.find('*');
  if (star == pattern.npos) return pattern == name;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  for (std::size_t length = 0; star + length <= name.size(); ++length) {
    found.emplace_back(name.substr(star, length));
    if (match_stars(pattern.substr(star + 1), name.substr(star + length), found)) return true;
    found.pop_back();
  }
  return false;
}

/// The first names, and how many more there are.
std::string listed(std::span<const std::string> names) {
  constexpr std::size_t most = 12;
  const auto shown = names.first(std::min(most, names.size()));
  return fmt::format("{}{}", fmt::join(shown, ", "), names.size() > most ? fmt::format(" and {} more", names.size() - most) : "");
}

}  // namespace

std::vector<NamePattern> NamePattern::parse_list(const std::string& list, const std::string& what) {
  std::vector<NamePattern> patterns;
  for (const std::string& item : split(list, ',')) {
    if (item.empty())
      throw usage_error("{} = {}: found an empty pattern. Expected patterns of array names, separated by commas, as in conv1, *.bias", what, list);
    patterns.emplace_back(item);
  }
  return patterns;
}

std::optional<std::vector<std::string>> NamePattern::captures(std::string_view name) const {
  std::vector<std::string> found;
  if (text_.find('*') != std::string::npos) {
    if (!match_stars(text_, name, found)) return std::nullopt;
    return found;
  }
  const bool whole = name == text_, first_parts = name.starts_with(text_) && name.size() > text_.size() && name[text_.size()] == '.';
  if (!whole && !first_parts) return std::nullopt;
  found.emplace_back(name.substr(text_.size()));
  return found;
}

bool matches_any(const std::vector<NamePattern>& patterns, std::string_view name) {
  return std::ranges::any_of(patterns, [&](const NamePattern& pattern) { return pattern.matches(name); });
}

void require_match(const NamePattern& pattern, std::span<const std::string> names, const std::string& what, const std::string& of) {
  if (std::ranges::any_of(names, [&](const std::string& name) { return pattern.matches(name); })) return;
  // A pattern usually names a layer, so layers are candidates for the suggestion, too.
  std::vector<std::string> candidates(names.begin(), names.end());
  for (const std::string& name : names)
    for (auto dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1)) candidates.push_back(name.substr(0, dot));
  throw usage_error("{}: '{}' matches no array of {}. Hint: {}its arrays are {}", what, pattern.text(), of, did_you_mean(pattern.text(), candidates),
                    listed(names));
}

std::vector<NameRule> NameRule::parse_list(const std::string& list, const std::string& what) {
  std::vector<NameRule> rules;
  for (const std::string& item : split(list, ',')) {
    const auto colon = item.find(':');
    const std::string from(trim(item.substr(0, colon))), to(colon == item.npos ? std::string_view{} : trim(std::string_view(item).substr(colon + 1)));
    if (from.empty() || to.empty() || to.find(':') != to.npos)
      throw usage_error("{}: '{}' is not a rule. Expected OLD:NEW, as in encoder:trunk or features.*.weight:conv*.weight", what, item);
    const auto stars = std::ranges::count(from, '*');
    if (std::ranges::count(to, '*') != stars)
      throw usage_error("{}: '{}' has {} '*' before the colon and {} behind it. Expected as many, because each stands for the same text", what, item, stars,
                        std::ranges::count(to, '*'));
    rules.push_back(NameRule(NamePattern(from), to));
  }
  return rules;
}

std::optional<std::string> NameRule::renamed(std::string_view name) const {
  const auto found = from_.captures(name);
  if (!found) return std::nullopt;
  if (from_.text().find('*') == std::string::npos) return to_ + found->front();
  std::string text;
  std::size_t star = 0;
  for (const char c : to_) text += c == '*' ? (*found)[star++] : std::string(1, c);
  return text;
}

}  // namespace trireme
