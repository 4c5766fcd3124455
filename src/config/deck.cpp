#include "config/deck.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "base/text_file.hpp"
#include "config/detail/blocks.hpp"
#include "config/detail/entries.hpp"
#include "config/detail/keys.hpp"
#include "config/detail/section_keys.hpp"
#include "config/exclusions.hpp"

namespace trireme {

namespace {

/// For each named input a layer that selects its channels from the joined input. Its number is 0: the deck does not write it.
std::vector<LayerSpec> input_layers(const std::vector<Deck::Input>& inputs) {
  std::vector<LayerSpec> layers;
  std::int64_t first = 0;
  for (const Deck::Input& input : inputs) {
    const std::string range = fmt::format("{}:{}", first, first + input.shape[0]);
    layers.push_back({.kind = "slice",
                      .name = input.name,
                      .from = {"input"},
                      .options = {{"channels", range}},
                      .number = 0,
                      .text = fmt::format("slice name={} from=input channels={}", input.name, range),
                      .place = fmt::format("model.input, '{}'", input.name)});
    first += input.shape[0];
  }
  return layers;
}

/// The layers that the deck's [loss NAME] sections compare, in their order; empty: there are no such sections.
std::vector<std::string> loss_outputs(const std::vector<DeckSection>& sections, const std::string& origin) {
  std::vector<std::string> outputs;
  for (const DeckSection& section : sections) {
    if (section.kind() != "loss") continue;
    if (section.text("of").empty())
      throw usage_error("deck '{}': {} is missing. Expected the name of the layer whose output the loss compares", origin, section.full("of"));
    outputs.push_back(section.text("of"));
  }
  if (outputs.size() == 1) throw usage_error("deck '{}' has one [loss NAME] section. Hint: write [loss] for a single loss", origin);
  return outputs;
}

}  // namespace

Deck::Deck(const std::string& text, const std::string& origin, const std::vector<std::string>& overrides) : origin_(origin) {
  for (const KeySpec& key : deck_keys()) {
    values_[key.name] = key.required ? "" : detail::checked(key, key.fallback, "default");
    given_[key.name] = false;
  }
  const auto entries = detail::parse_entries(text, origin);
  if (entries.empty()) throw usage_error("deck '{}' is empty: it has no 'key = value' line. Hint: start from one of the decks in inputs/", origin);
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
    set(entry.key, entry.value, entry.where);
    const auto [first, fresh] = places.emplace(entry.key, entry.where);
    if (!fresh) throw usage_error("{}: {} is given twice; the first is in {}. Hint: keep one", entry.where, entry.key, first->second);
  }

  layers_ = layers.layers();

  for (const std::string& item : overrides) {
    const detail::DeckEntry entry = detail::parse_override(item);
    if (entry.key == detail::layer_key)
      throw usage_error("{}: '{}' is not allowed: layers are an ordered list, and the command line cannot say which of them to replace. Hint: change the deck",
                        entry.where, item);
    set(entry.key, entry.value, entry.where);
  }

  for (const KeySpec& key : deck_keys())
    if (key.required && !given(key.name))
      throw usage_error("deck '{}': {} is missing. {} Hint: add it below [{}]", origin, key.name, key.help, detail::section_of(key.name));
  if (layers_.empty()) throw usage_error("deck '{}' has no layers. Hint: add lines such as 'layer = linear out=10' below [model]", origin);
  if (this->text("model.input").find(':') != std::string::npos) {
    if (layers_.front().from.empty())
      throw usage_error(
          "deck '{}': model.input names several inputs, and the first layer names none. Hint: add from={} to it, or join inputs with layer = "
          "concat from=A,B",
          origin, inputs().front().name);
    const std::vector<LayerSpec> first = input_layers(inputs());
    layers_.insert(layers_.begin(), first.begin(), first.end());
  }
  if (const std::vector<std::string> outputs = loss_outputs(sections_, origin); !outputs.empty())
    layers_.push_back({.kind = "concat",
                       .name = "losses",
                       .from = outputs,
                       .options = {},
                       .number = 0,
                       .text = fmt::format("concat name=losses from={}", fmt::join(outputs, ",")),
                       .place = "the outputs of the losses"});
  check_exclusions(*this);
}

void Deck::set(const std::string& name, const std::string& value, const std::string& where) {
  const KeySpec* key = detail::find_key(name);
  if (key == nullptr) {
    // KIND.NAME.KEY belongs to a named section.
    const auto first = name.find('.'), last = name.rfind('.');
    if (first == last || detail::find_section_kind(name.substr(0, first)) == nullptr) throw detail::unknown_key(name, where);
    const std::string kind = name.substr(0, first), called = name.substr(first + 1, last - first - 1);
    static_cast<void>(detail::named_section(kind + " " + called, where));
    auto at = std::ranges::find_if(sections_, [&](const DeckSection& s) { return s.kind() == kind && s.name() == called; });
    if (at == sections_.end()) at = sections_.insert(at, DeckSection(kind, called));
    return at->set(name.substr(last + 1), value, where);
  }
  values_[key->name] = detail::checked(*key, value, where);
  given_[key->name] = true;
}

DeckSection::DeckSection(std::string kind, std::string name) : kind_(std::move(kind)), name_(std::move(name)) {
  for (const KeySpec& key : detail::find_section_kind(kind_)->keys)
    values_[std::string(detail::name_in_section(key.name))] = detail::checked(key, key.fallback, "default");
}

const std::string& DeckSection::text(std::string_view key) const {
  const auto at = values_.find(key);
  if (at == values_.end()) throw internal_error("a section [{} {}] was asked for '{}', which is no key of its kind", kind_, name_, key);
  return at->second;
}

void DeckSection::set(const std::string& key, const std::string& value, const std::string& where) {
  const auto& keys = detail::find_section_kind(kind_)->keys;
  const auto at = std::ranges::find(keys, kind_ + "." + key, &KeySpec::name);
  if (at == keys.end()) {
    std::vector<std::string> names;
    for (const KeySpec& spec : keys) names.emplace_back(detail::name_in_section(spec.name));
    throw usage_error("{}: [{} {}] has no key '{}'. Hint: {}The keys of [{} NAME] are {}", where, kind_, name_, key, did_you_mean(key, names), kind_,
                      fmt::join(names, ", "));
  }
  KeySpec spec = *at;
  spec.name = full(key);
  values_[key] = detail::checked(spec, value, where);
  given_.insert(key);
}

const DeckSection* Deck::section(std::string_view kind, std::string_view name) const {
  const auto at = std::ranges::find_if(sections_, [&](const DeckSection& s) { return s.kind() == kind && s.name() == name; });
  return at == sections_.end() ? nullptr : &*at;
}

std::vector<Deck::Input> Deck::inputs() const {
  const std::string& all = text("model.input");
  if (all.find(':') == all.npos) return {{"features", Shape::parse(all, "model.input")}};
  std::vector<Input> found;
  for (const std::string& item : split(all, ',')) {
    const auto colon = item.find(':');
    found.push_back({item.substr(0, colon), Shape::parse(item.substr(colon + 1), "model.input")});
  }
  return found;
}

Shape Deck::input_shape() const {
  const std::vector<Input> all = inputs();
  Shape joined = all.front().shape;
  for (std::size_t i = 1; i < all.size(); ++i) joined[0] += all[i].shape[0];
  return joined;
}

Deck Deck::stored(const std::string& text, const std::string& origin) { return {detail::with_new_names(text), origin}; }

Deck Deck::read(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  std::string text;
  if (const std::string why = read_text(file, text); !why.empty())
    throw usage_error("deck '{}' cannot be read: {}. Hint: give the path of an INI file, such as one of those in inputs/", file.string(), why);
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
      deck += fmt::format("{} ={}{}\n", detail::name_in_section(key.name), value.empty() ? "" : " ", detail::escaped(value));
    }
    if (section == detail::section_of(detail::layer_key))
      for (const LayerSpec& layer : layers_)
        if (layer.number > 0) deck += fmt::format("{} = {}\n", detail::name_in_section(detail::layer_key), detail::escaped(layer.text));
  }
  for (const DeckSection& section : sections_) {
    deck += fmt::format("\n[{} {}]\n", section.kind(), section.name());
    for (const auto& [key, value] : section.values()) deck += fmt::format("{} ={}{}\n", key, value.empty() ? "" : " ", detail::escaped(value));
  }
  return deck;
}

}  // namespace trireme
