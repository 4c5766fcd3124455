#include "config/deck.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "base/text.hpp"
#include "base/text_file.hpp"
#include "config/detail/blocks.hpp"
#include "config/detail/entries.hpp"
#include "config/detail/keys.hpp"

namespace trireme {

Deck::Deck(const std::string& text, const std::string& origin, const std::vector<std::string>& overrides)
    : origin_(origin) {
  for (const KeySpec& key : deck_keys()) {
    values_[key.name] = key.required ? "" : detail::checked(key, key.fallback, "default");
    given_[key.name] = false;
  }
  const auto set = [this](const detail::DeckEntry& entry) {
    const KeySpec* key = detail::find_key(entry.key);
    if (key == nullptr) throw detail::unknown_key(entry.key, entry.where);
    values_[key->name] = detail::checked(*key, entry.value, entry.where);
    given_[key->name] = true;
  };

  const auto entries = detail::parse_entries(text, origin);
  if (entries.empty())
    throw usage_error("deck '{}' is empty: it holds no 'key = value'. Hint: start from one of the decks in inputs/",
                      origin);
  detail::LayerList layers;
  for (const auto& entry : entries)
    if (!entry.block.empty()) layers.define(entry);
  std::map<std::string, std::string> places;
  for (const auto& entry : entries) {
    if (!entry.block.empty()) continue;
    if (entry.key == detail::layer_key) {
      layers.add(entry);
      continue;
    }
    set(entry);
    const auto [first, fresh] = places.emplace(entry.key, entry.where);
    if (!fresh)
      throw usage_error("{}: {} is given a second time; the first is in {}. Hint: keep one", entry.where, entry.key,
                        first->second);
  }

  layers_ = layers.layers();

  for (const std::string& item : overrides) {
    const detail::DeckEntry entry = detail::parse_override(item);
    if (entry.key == detail::layer_key)
      throw usage_error(
          "{}: '{}' is refused: layers are an ordered list, and one key cannot say which of them it replaces. "
          "Hint: change the deck",
          entry.where, item);
    set(entry);
  }

  for (const KeySpec& key : deck_keys())
    if (key.required && !given(key.name))
      throw usage_error("deck '{}': {} is missing. {} Hint: add it below [{}]", origin, key.name, key.help,
                        detail::section_of(key.name));
  if (layers_.empty())
    throw usage_error("deck '{}' has no layers. Hint: add lines such as 'layer = linear out=10' below [model]", origin);
}

Deck Deck::read(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  std::string text;
  if (const std::string why = read_text(file, text); !why.empty())
    throw usage_error("deck '{}' cannot be read: {}. Hint: give the path of an INI file, such as one of inputs/",
                      file.string(), why);
  return Deck(text, file.string(), overrides);
}

const KeySpec& Deck::spec(std::string_view key) const {
  const KeySpec* found = detail::find_key(key);
  if (found == nullptr) throw internal_error("the deck was asked for '{}', which is not in its table of keys", key);
  return *found;
}

std::int64_t Deck::integer(std::string_view key) const {
  if (spec(key).type != KeySpec::Type::integer) throw internal_error("the deck's key '{}' is not an integer", key);
  return parse_integer(text(key), std::string(key));
}

double Deck::real(std::string_view key) const {
  if (spec(key).type != KeySpec::Type::real) throw internal_error("the deck's key '{}' is not a real", key);
  return parse_real(text(key), std::string(key));
}

bool Deck::boolean(std::string_view key) const {
  if (spec(key).type != KeySpec::Type::boolean) throw internal_error("the deck's key '{}' is not a boolean", key);
  return text(key) == "true";
}

const std::string& Deck::text(std::string_view key) const { return values_.find(spec(key).name)->second; }

std::vector<std::string> Deck::items(std::string_view key) const {
  if (spec(key).type != KeySpec::Type::list) throw internal_error("the deck's key '{}' is not a list", key);
  return split(text(key), ',');
}

std::vector<double> Deck::reals(std::string_view key) const {
  std::vector<double> numbers;
  for (const std::string& item : items(key)) numbers.push_back(parse_real(item, std::string(key)));
  return numbers;
}

bool Deck::given(std::string_view key) const { return given_.find(spec(key).name)->second; }

std::string Deck::resolved() const {
  std::string deck;
  for (const std::string& section : detail::deck_sections()) {
    deck += fmt::format("{}[{}]\n", deck.empty() ? "" : "\n", section);
    for (const KeySpec& key : deck_keys()) {
      if (detail::section_of(key.name) != section) continue;
      const std::string& value = values_.at(key.name);
      deck += fmt::format("{} ={}{}\n", detail::name_in_section(key.name), value.empty() ? "" : " ",
                          detail::escaped(value));
    }
    if (section == detail::section_of(detail::layer_key))
      for (const LayerSpec& layer : layers_)
        deck += fmt::format("{} = {}\n", detail::name_in_section(detail::layer_key), detail::escaped(layer.text));
  }
  return deck;
}

}  // namespace trireme
