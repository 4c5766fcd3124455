#include "config/detail/blocks.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/text.hpp"
#include "config/detail/layer_line.hpp"

namespace trireme::detail {

namespace {

// Limits on what a few lines of a deck can expand to.
constexpr std::size_t most_layers = 10000, most_blocks = 1000, most_characters = std::size_t{16} << 20;
constexpr int deepest = 32;

constexpr std::string_view section_word = "block ";
constexpr std::string_view layer_word = "layer";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

/// Replaces each $NAME by take(name). Stops early when the line is longer than all lines together may be.
template <class Take>
std::string with_parameters(const std::string& text, const Take& take) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != '$') {
      result += text[i++];
      continue;
    }
    const std::size_t first = ++i;
    while (i < text.size() && is_letter(text[i])) ++i;
    result += take(text.substr(first, i - first));
    if (result.size() > most_characters) break;
  }
  return result;
}

/// The layer line after expansion.
std::string line_of(const LayerSpec& spec) {
  std::string line = spec.kind;
  if (!spec.name.empty()) line += " name=" + spec.name;
  if (!spec.from.empty()) line += fmt::format(" from={}", fmt::join(spec.from, ","));
  for (const std::string& word : words(spec.text))
    if (word.find('=') != word.npos && !word.starts_with("name=") && !word.starts_with("from=")) line += " " + word;
  return line;
}

}  // namespace

std::string block_of_section(std::string_view section, const std::string& where) {
  if (!section.starts_with(section_word)) return {};
  const std::string name(trim(section.substr(section_word.size())));
  if (name.empty() || !std::ranges::all_of(name, [](char c) { return is_letter(c) || c == '-'; }))
    throw usage_error("{}: '{}' is not a valid block name. Expected letters, digits, '_' and '-'", where, name);
  return name;
}

std::size_t LayerList::find_block(const std::string& name) const {
  return static_cast<std::size_t>(std::ranges::find(blocks_, name, &Block::name) - blocks_.begin());
}

void LayerList::define(const DeckEntry& entry) {
  const std::size_t at = find_block(entry.block);
  if (at == most_blocks)
    throw usage_error("{}: the deck defines more than {} blocks. Hint: use parameters and repeat instead of copies of a block", entry.where, most_blocks);
  if (at == blocks_.size()) blocks_.push_back({entry.block, {}, {}});
  if (entry.key == layer_word) {
    blocks_[at].lines.push_back(entry);
    return;
  }
  const auto [first, fresh] = blocks_[at].defaults.emplace(entry.key, entry);
  if (!fresh)
    throw usage_error("{}: {} of block '{}' is given twice; the first is in {}. Hint: keep one", entry.where, entry.key, entry.block, first->second.where);
}

void LayerList::add(const DeckEntry& entry) {
  model_.visible = blocks_.size();
  add(parse_layer(entry.value, static_cast<int>(layers_.size()) + 1, entry.where), entry.where, model_);
}

void LayerList::add(LayerSpec spec, const std::string& where, Scope& scope) {
  const bool in_block = !scope.use.empty(), first = scope.names.empty();
  const std::vector<std::string> from = spec.from;
  resolve_from(spec, where, scope);
  if (in_block && first && scope.input_given && spec.from.empty()) spec.from = {scope.input};
  if (const std::size_t block = find_block(spec.kind); block < blocks_.size()) {
    if (block < scope.visible) return add_instances(spec, where, scope);
    throw usage_error("{}: block '{}' cannot be used here. A block may use only blocks that are defined above it. Hint: move [block {}] up", where, spec.kind,
                      spec.kind);
  }
  const std::string name = spec.name.empty() ? fmt::format("{}{}", spec.kind, ++scope.running[spec.kind]) : spec.name;
  last_ = scope.prefix + name;
  // The network reports two layers of the same name outside of blocks.
  if (const auto [found, fresh] = scope.names.emplace(name, last_); !fresh && (in_block || found->second != last_))
    throw usage_error("{}: an earlier layer or block already has the name '{}'. Hint: choose another name", where, name);
  if (in_block) spec.name = last_;
  if (in_block || spec.from != from) spec.text = line_of(spec);
  spec.place = in_block ? where : "";
  if (layers_.size() == most_layers) throw usage_error("{}: the network has more than {} layers. Hint: reduce repeat", where, most_layers);
  layers_.push_back(std::move(spec));
}

void LayerList::resolve_from(LayerSpec& spec, const std::string& where, const Scope& scope) const {
  for (std::string& from : spec.from) {
    if (const auto found = scope.names.find(from); found != scope.names.end()) {
      from = found->second;
    } else if (!scope.use.empty()) {
      if (from != "input") {
        std::vector<std::string> names{"input"};
        for (const auto& [name, layer] : scope.names) names.push_back(name);
        throw usage_error("{}: from = '{}' names no earlier layer of the block. Hint: {}Known names: {}", where, from, did_you_mean(from, names),
                          fmt::join(names, ", "));
      }
      from = scope.input;
    }
  }
}

void LayerList::add_instances(const LayerSpec& use, const std::string& where, Scope& scope) {
  if (use.from.size() > 1) throw usage_error("{}: block '{}' takes one input, but from names {} inputs", where, use.kind, use.from.size());
  const auto repeat = use.options.find("repeat");
  const std::int64_t count = repeat == use.options.end() ? 1 : parse_integer(repeat->second, fmt::format("{}: repeat", where));
  if (count < 1 || count > 10000) throw usage_error("{}: repeat = {} is out of range. Expected 1 to 10000", where, count);
  if (scope.depth == deepest) throw usage_error("{}: blocks are nested more than {} levels deep. Hint: replace inner blocks by their layers", where, deepest);
  for (std::int64_t i = 1; i <= count; ++i) {
    const std::string name = use.name.empty()              ? fmt::format("{}{}", use.kind, ++scope.running[use.kind])
                             : repeat == use.options.end() ? use.name
                                                           : fmt::format("{}.{}", use.name, i);
    const bool given = i == 1 && !use.from.empty();
    add_instance(find_block(use.kind), use, where,
                 {.prefix = scope.prefix + name + ".",
                  .input = given ? use.from.front() : last_,
                  .input_given = given,
                  .depth = scope.depth + 1,
                  .visible = find_block(use.kind),
                  .use = where});
    if (!scope.names.emplace(name, last_).second)
      throw usage_error("{}: an earlier layer or block already has the name '{}'. Hint: choose another name", where, name);
  }
  if (!use.name.empty()) scope.names.insert_or_assign(use.name, last_);
}

void LayerList::add_instance(std::size_t number, const LayerSpec& use, const std::string& where, Scope scope) {
  const Block& block = blocks_[number];
  if (block.lines.empty())
    throw usage_error("{}: block '{}' has no layers. Hint: add lines such as 'layer = relu' below [block {}]", where, block.name, block.name);
  std::set<std::string> known;
  for (const auto& [name, entry] : block.defaults) known.insert(name);
  for (const DeckEntry& line : block.lines) with_parameters(line.value, [&](const std::string& name) { return known.insert(name), std::string(); });
  for (const auto& [name, value] : use.options)
    if (name != "repeat" && !known.contains(name)) {
      const std::vector<std::string> names(known.begin(), known.end());
      if (names.empty()) throw usage_error("{}: block '{}' has no parameter '{}'; it takes none. Hint: remove it", where, block.name, name);
      throw usage_error("{}: block '{}' has no parameter '{}'. Hint: {}Its parameters are {}", where, block.name, name, did_you_mean(name, names),
                        fmt::join(names, ", "));
    }
  for (const DeckEntry& line : block.lines) {
    const std::string place = fmt::format("{} (used by {})", line.where, where);
    const std::string text = with_parameters(line.value, [&](const std::string& name) {
      if (const auto given = use.options.find(name); given != use.options.end()) return given->second;
      if (const auto fallback = block.defaults.find(name); fallback != block.defaults.end()) return fallback->second.value;
      throw usage_error(
          "{}: '${}' has no value. Hint: add {}=... to the line that uses block '{}', or set a default, '{} = ...', below [block "
          "{}]",
          place, name, name, block.name, name, block.name);
    });
    expanded_ += text.size() + place.size();
    if (expanded_ > most_characters)
      throw usage_error("{}: the layers of the blocks have more than {} characters together. Hint: reduce repeat, or use shorter values", where,
                        most_characters);
    add(parse_layer(text, static_cast<int>(layers_.size()) + 1, place), place, scope);
  }
}

}  // namespace trireme::detail
