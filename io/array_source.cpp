#include "io/array_source.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include "base/error.hpp"
#include "base/text.hpp"

namespace trireme {

namespace {

constexpr std::size_t most_steps = 10000;  // of a window

std::optional<std::int64_t> integer(std::string_view text) {
  text = trim(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

/// The items between commas that are not inside brackets.
std::vector<std::string> items_of(const std::string& text) {
  std::vector<std::string> items{""};
  int depth = 0;
  for (const char c : text) {
    depth += c == '[' ? 1 : c == ']' ? -1 : 0;
    if (c == ',' && depth <= 0)
      items.emplace_back();
    else
      items.back() += c;
  }
  for (std::string& item : items) item = std::string(trim(item));
  return items;
}

}  // namespace

std::optional<ExtentRange::Bounds> ExtentRange::within(std::int64_t extent) const {
  const auto place = [&](std::int64_t at) { return at < 0 ? at + extent : at; };
  const Bounds found{place(first), single ? place(first) + 1 : end ? place(*end) : extent};
  if (found.first < 0 || found.end > extent || found.first >= found.end) return std::nullopt;
  return found;
}

std::string ExtentRange::text() const {
  if (single) return std::to_string(first);
  return fmt::format("{}:{}", first == 0 ? "" : std::to_string(first), end ? std::to_string(*end) : "");
}

ExtentRange parse_extent_range(std::string_view text, const std::string& key) {
  const auto colon = text.find(':');
  const std::string_view left = trim(text.substr(0, colon)), right = colon == text.npos ? std::string_view{} : trim(text.substr(colon + 1));
  ExtentRange range;
  bool legal = true;
  if (!left.empty()) {
    const auto value = integer(left);
    legal = value.has_value();
    range.first = value.value_or(0);
  }
  if (!right.empty()) {
    range.end = integer(right);
    legal = legal && range.end.has_value();
  }
  range.single = colon == text.npos;
  if (!legal || (range.single && left.empty()))
    throw usage_error("{}: '{}' is not a range of indices. Expected FIRST:END as in Python, such as 1:29, :100 or -365:, or one index", key, text);
  return range;
}

std::vector<ArrayPart> ArrayPart::parse_list(const std::string& text, const std::string& key) {
  std::vector<ArrayPart> parts;
  for (const std::string& item : items_of(text)) {
    ArrayPart part{.text = item, .name = item};
    if (const auto open = item.find('['); open != item.npos && item.ends_with(']')) {
      part.name = std::string(trim(std::string_view(item).substr(0, open)));
      for (const std::string& one : split(item.substr(open + 1, item.size() - open - 2), ',')) part.select.push_back(parse_extent_range(one, key));
    } else if (const auto at = item.rfind('@'); at != item.npos) {
      part.name = item.substr(0, at);
      part.attribute = item.substr(at + 1);
    }
    if (part.name.empty() || (item.find('@') != item.npos && part.select.empty() && part.attribute.empty()))
      throw usage_error("{} = {}: '{}' names no dataset. Expected names separated by commas, as in /u, /v[:, 0:3], /mesh@spacing", key, text, item);
    parts.push_back(std::move(part));
  }
  return parts;
}

ArrayAxes ArrayAxes::parse(const std::string& text, const std::string& key) {
  static constexpr std::array<std::string_view, 6> names{"sample", "time", "channel", "z", "y", "x"};
  ArrayAxes axes;
  for (const std::string& word : split(text, ',')) {
    const std::string_view meant = word == "lat" ? "y" : word == "lon" ? "x" : std::string_view(word);
    const auto at = std::ranges::find(names, meant);
    if (at == names.end())
      throw usage_error(
          "{} = {}: '{}' is not an axis. Expected the stored axes in the file's order, separated by commas: sample, time, channel, z, y (or lat), x (or lon)",
          key, text, word);
    const auto axis = static_cast<Axis>(at - names.begin());
    if (axes.has(axis)) throw usage_error("{} = {}: '{}' repeats an axis", key, text, word);
    axes.axes_.push_back(axis);
    axes.text_ += (axes.text_.empty() ? "" : ", ") + word;
  }
  return axes;
}

bool ArrayAxes::has(Axis axis) const { return std::ranges::find(axes_, axis) != axes_.end(); }

std::string ArraySource::file_of(const std::string& shard) const {
  const ShardPath path(shard);
  if (!file.empty()) return file;
  if (replace_from.empty()) return shard;
  const auto at = path.file.rfind(replace_from);
  if (at == std::string::npos)
    throw data_error("shard '{}': array.{}.replace = {} -> {}, but the shard's path does not contain '{}'. Hint: correct this key, or data.train and data.test",
                     shard, name, replace_from, replace_to, replace_from);
  std::string other = path.file;
  other.replace(at, replace_from.size(), replace_to);
  return path.group.empty() ? other : other + ":" + path.group;
}

std::vector<std::int64_t> parse_window(const std::string& text, const std::string& key) {
  std::vector<std::int64_t> steps;
  for (const std::string& item : split(text, ',')) {
    const auto dots = item.find("..");
    const auto first = integer(std::string_view(item).substr(0, dots)), last = dots == item.npos ? first : integer(std::string_view(item).substr(dots + 2));
    if (!first || !last || *last < *first || *last - *first >= static_cast<std::int64_t>(most_steps) || steps.size() > most_steps)
      throw usage_error("{} = {}: '{}' is not a list of time steps. Expected steps relative to the sample's time, such as -3..0 (history), 1 (lead) or 1..4",
                        key, text, item);
    for (std::int64_t step = *first; step <= *last; ++step) steps.push_back(step);
  }
  if (!std::ranges::is_sorted(steps, std::less_equal<>()))
    throw usage_error("{} = {}: time steps must ascend, and each may occur once. Example: -6, -3, 0", key, text);
  return steps;
}

ShardPath::ShardPath(const std::string& path) : file(path) {
  const auto at = path.rfind(":/");
  std::error_code ignored;
  if (at == std::string::npos || at == 0 || std::filesystem::exists(path, ignored)) return;
  file = path.substr(0, at);
  group = path.substr(at + 1);
  while (group.size() > 1 && group.ends_with('/')) group.pop_back();
}

std::string ShardPath::in_file(const std::string& name) const {
  if (group.empty() || group == "/") return name;
  return group + (name.starts_with('/') ? "" : "/") + name;
}

}  // namespace trireme
