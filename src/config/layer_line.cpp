#include "config/detail/layer_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/text.hpp"

namespace trireme {

namespace detail {

namespace {

/// Names become parts of HDF5 paths and of from= lists.
bool is_name(const std::string& text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'; });
}

}  // namespace

LayerSpec parse_layer(const std::string& text, int number, const std::string& where) {
  constexpr std::size_t longest = 10000;  // characters; messages quote the line
  if (text.size() > longest) throw usage_error("{}: layer {} has {} characters. Expected at most {}", where, number, text.size(), longest);
  const auto wrong = [&](const std::string& what) { return usage_error("{}: layer {}, '{}': {}", where, number, text, what); };
  const std::vector<std::string> parts = words(text);
  if (parts.empty() || parts.front().find('=') != std::string::npos)
    throw wrong("the kind of layer is missing. Expected KIND [name=...] [from=a,b] [key=value ...], as in conv out=32 kernel=3");

  LayerSpec layer;
  layer.kind = parts.front();
  layer.number = number;
  layer.text = text;
  std::set<std::string> seen;
  for (auto part = parts.begin() + 1; part != parts.end(); ++part) {
    const auto at = part->find('=');
    if (at == std::string::npos) throw wrong(fmt::format("'{}' has no '='. Expected key=value. Hint: write no spaces around '=' and ','", *part));
    const std::string key = part->substr(0, at), value = part->substr(at + 1);
    if (key.empty()) throw wrong(fmt::format("'{}' has no key before '='. Hint: write no spaces around '='", *part));
    const std::vector<std::string> items = split(value, ',');
    if (items.empty() || std::ranges::find(items, "") != items.end())
      throw wrong(fmt::format("'{}' has no value. Hint: write no spaces around '=' and ','", *part));
    if (!seen.insert(key).second) throw wrong(fmt::format("the option '{}' is given twice", key));
    if (key == "name") {
      if (!is_name(value)) throw wrong(fmt::format("'{}' is not a valid name. Expected letters, digits, '_', '-' and '.'", value));
      layer.name = value;
    } else if (key == "from") {
      layer.from = items;
    } else {
      layer.options[key] = value;
    }
  }
  return layer;
}

}  // namespace detail

std::string LayerSpec::called() const {
  if (number == 0) return place;
  return fmt::format("layer {} ({}){}", number, kind, place.empty() ? "" : ", " + place);
}

}  // namespace trireme
