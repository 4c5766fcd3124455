// Lookup in the table of deck keys.
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "base/text.hpp"
#include "config/detail/keys.hpp"
#include "config/key_spec.hpp"

namespace trireme {

namespace {

/// The table as it grows before main() runs.
struct KeyTable {
  std::vector<KeySpec> keys = detail::make_keys();
  bool in_use = false;
};

KeyTable& key_table() {
  static KeyTable table;
  return table;
}

}  // namespace

bool add_deck_keys(const std::vector<KeySpec>& keys) {
  KeyTable& table = key_table();
  for (const KeySpec& spec : keys) {
    const auto section = detail::section_of(spec.name);
    const auto last = std::find_if(table.keys.rbegin(), table.keys.rend(), [&](const KeySpec& other) { return detail::section_of(other.name) == section; });
    if (table.in_use || last == table.keys.rend() || std::ranges::find(table.keys, spec.name, &KeySpec::name) != table.keys.end())
      throw internal_error("the deck key '{}' cannot be added: its section must exist, its name must be new, and no deck may have been read yet", spec.name);
    table.keys.insert(last.base(), spec);
  }
  return true;
}

const std::vector<KeySpec>& deck_keys() {
  KeyTable& table = key_table();
  table.in_use = true;
  return table.keys;
}

namespace detail {

std::string_view section_of(std::string_view key) {
  const auto dot = key.find('.');
  return dot == key.npos ? std::string_view{} : key.substr(0, dot);
}

std::string_view name_in_section(std::string_view key) {
  const auto dot = key.find('.');
  return dot == key.npos ? key : key.substr(dot + 1);
}

const std::vector<std::string>& deck_sections() {
  static const std::vector<std::string> sections = [] {
    std::vector<std::string> found;
    for (const KeySpec& spec : deck_keys())
      if (found.empty() || found.back() != section_of(spec.name)) found.emplace_back(section_of(spec.name));
    return found;
  }();
  return sections;
}

void check_section(std::string_view section, const std::string& where) {
  const auto& sections = deck_sections();
  const std::string near = near_name(section, sections);
  if (std::ranges::find(sections, section) == sections.end())
    throw usage_error("{}: there is no section [{}]. Hint: {}The sections are {}, [array NAME], [loss NAME] and [block NAME]", where, section,
                      near.empty() ? "" : fmt::format("did you mean [{}]? ", near), fmt::join(sections, ", "));
}

const KeySpec* find_key(std::string_view key) {
  const auto at = std::ranges::find(deck_keys(), key, &KeySpec::name);
  return at == deck_keys().end() ? nullptr : &*at;
}

std::string new_name_of(std::string_view key) {
  static const std::map<std::string, std::string, std::less<>> renamed{{"data."
                                                                        "lanes",
                                                                        "data.virtual_ranks"},
                                                                       {"parallel."
                                                                        "wire",
                                                                        "parallel.reduce_dtype"}};
  const auto found = renamed.find(key);
  return found == renamed.end() ? "" : found->second;
}

std::string with_new_names(const std::string& text) {
  std::string result, section;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    std::string line = text.substr(at, end - at);
    at = end;
    const std::string_view trimmed = trim(line);
    if (trimmed.starts_with('[')) section = trimmed.substr(1, trimmed.find(']') - 1);
    if (const auto equals = line.find('='); equals != std::string::npos) {
      const std::string now = new_name_of(fmt::format("{}.{}", section, trim(std::string_view(line).substr(0, equals))));
      if (!now.empty()) line = fmt::format("{} {}", name_in_section(now), line.substr(equals));
    }
    result += line;
  }
  return result;
}

/// The key of a deck for what other training programs call `key`; empty: none is known.
std::string name_of_others(std::string_view key) {
  static const std::map<std::string, std::string, std::less<>> keys{
      {"loss.ignore_index", "loss.ignore"},        {"loss.weight", "loss.class_weights"}, {"loss.type", "loss.kind"},
      {"optimizer.learning_rate", "optimizer.lr"}, {"optimizer.name", "optimizer.kind"},  {"optimizer.type", "optimizer.kind"},
      {"schedule.name", "schedule.kind"},          {"schedule.type", "schedule.kind"},    {"data.batch_size", "data.batch"},
      {"train.batch_size", "data.batch"},          {"train.max_epochs", "train.epochs"},  {"train.num_epochs", "train.epochs"},
      {"train.max_steps", "train.steps"}};
  const auto found = keys.find(key);
  return found == keys.end() ? "" : found->second;
}

Error unknown_key(std::string_view key, const std::string& where) {
  if (const std::string now = new_name_of(key); !now.empty()) return usage_error("{}: the key {} is now called {}. Hint: write {}", where, key, now, now);
  std::vector<std::string> all{std::string(layer_key)}, of_section;
  for (const KeySpec& spec : deck_keys()) all.push_back(spec.name);
  const std::string_view section = section_of(key), name = name_in_section(key);
  // The right name in the wrong section, or in none, is a more likely mistake than a misspelled name.
  const auto elsewhere = std::ranges::find_if(all, [&](const std::string& k) { return k == name || name_in_section(k) == name; });
  const auto hint = [](const std::string& meant) { return meant.empty() ? meant : fmt::format("did you mean '{}'? ", meant); };
  if (section.empty())
    return usage_error("{}: '{}' has no section. Expected section.key, or key below its [section]. Hint: {}trireme help deck lists all keys", where, key,
                       hint(elsewhere != all.end() ? *elsewhere : near_name(key, all)));
  check_section(section, where);
  for (const std::string& k : all)
    if (section_of(k) == section) of_section.emplace_back(name_in_section(k));
  const std::string near = near_name(name, of_section), elsewhere_called = name_of_others(key);
  const std::string meant = !elsewhere_called.empty() ? elsewhere_called
                            : elsewhere != all.end()  ? *elsewhere
                            : near.empty()            ? near
                                                      : fmt::format("{}.{}", section, near);
  return usage_error("{}: [{}] has no key '{}'. Hint: {}The keys of [{}] are {}", where, section, name, hint(meant), section, fmt::join(of_section, ", "));
}

}  // namespace detail

}  // namespace trireme
