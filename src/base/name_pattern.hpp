// Patterns for names of arrays, such as "encoder", "conv1.weight" and "*.bias".
//
// `*` stands for any characters, also none and also dots. A pattern without `*` is a whole name, or the first parts of one up to a dot: "conv1" matches
// "conv1.weight" and not "conv10.weight".
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

class NamePattern {
 public:
  explicit NamePattern(std::string text) : text_(std::move(text)) {}
  /// The patterns of a comma-separated list. `what`: the key, for messages. Throws a usage error for an empty pattern.
  static std::vector<NamePattern> parse_list(const std::string& list, const std::string& what);

  const std::string& text() const { return text_; }
  bool matches(std::string_view name) const { return captures(name).has_value(); }
  /// What each `*` stands for, shortest first, and the rest of the name for a pattern without `*`; nothing if the name does not match.
  std::optional<std::vector<std::string>> captures(std::string_view name) const;

 private:
  std::string text_;
};

bool matches_any(const std::vector<NamePattern>& patterns, std::string_view name);
/// Throws a usage error with near names unless the pattern matches one of `names`. `what`: the key; `of`: what the names belong to.
void require_match(const NamePattern& pattern, std::span<const std::string> names, const std::string& what, const std::string& of);

/// "OLD:NEW": renames what OLD matches. With `*` each `*` of NEW is what the same `*` of OLD stands for; without, NEW replaces the first parts of the name.
class NameRule {
 public:
  /// The rules of a comma-separated list; throws usage errors that name `what`.
  static std::vector<NameRule> parse_list(const std::string& list, const std::string& what);
  const NamePattern& from() const { return from_; }
  /// Empty: the rule does not match.
  std::optional<std::string> renamed(std::string_view name) const;

 private:
  NameRule(NamePattern from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
  NamePattern from_;
  std::string to_;
};

}  // namespace trireme
