// Boost.Program_options splits the deck into sections, keys and values. This file first adds line numbers and the escapes \# and \\. Boost cuts every
// line at the first '#', but a path may contain one.
#include "config/detail/entries.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options/errors.hpp>
#include <boost/program_options/parsers.hpp>
#include <sstream>
#include <string_view>

#include "base/error.hpp"
#include "base/text.hpp"
#include "config/detail/blocks.hpp"
#include "config/detail/keys.hpp"
#include "config/detail/section_keys.hpp"

namespace trireme::detail {

namespace {

constexpr std::size_t longest_line = std::size_t{1} << 20;  // characters; a list of files may be long
constexpr char escaped_hash = '\x1f';                       // stands for '#' while Boost reads; legal text holds no such character

struct Line {
  std::string text;
  std::string where;
  std::string block;
};

void check_text(std::string_view text, const std::string& where) {
  const auto bad = std::ranges::find_if(text, [](unsigned char c) { return (c < ' ' && c != '\t') || c == 0x7f; });
  if (bad != text.end())
    throw usage_error("{}: found the control character 0x{:02x}. Expected plain text. Hint: a deck is an INI file, not a checkpoint or shard", where,
                      static_cast<int>(*bad));
}

std::string with_hashes(std::string text) {
  std::ranges::replace(text, escaped_hash, '#');
  return text;
}

/// The line without comment and escapes.
std::string without_escapes(std::string_view line, const std::string& where) {
  std::string plain;
  for (std::size_t i = 0; i < line.size() && line[i] != '#'; ++i) {
    if (line[i] != '\\') {
      plain += line[i];
      continue;
    }
    const std::string_view escape = line.substr(i++, 2);
    if (escape == "\\#")
      plain += escaped_hash;
    else if (escape == "\\\\")
      plain += '\\';
    else
      throw usage_error(
          "{}: unknown escape '{}' in '{}'. Hint: write \\# for '#' and \\\\ for a backslash. There are no "
          "other escapes and no continuation lines",
          where, escape, line);
  }
  return std::string(trim(plain));
}

bool is_section(std::string_view line) { return line.front() == '[' && line.back() == ']'; }

/// The lines that are not empty and not comments.
std::vector<Line> significant_lines(std::string_view text, const std::string& origin) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // the byte order mark that some editors write
  std::vector<Line> lines;
  std::string block;
  for (int number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view raw = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string where = fmt::format("deck '{}', line {}", origin, number);
    if (raw.size() > longest_line)
      throw usage_error("{}: the line has {} characters. Expected at most {}. Hint: give files as a folder or a glob pattern", where, raw.size(), longest_line);
    check_text(raw, where);
    std::string plain = without_escapes(raw, where);
    if (plain.empty()) continue;
    if (is_section(plain)) {
      const std::string_view section = std::string_view(plain).substr(1, plain.size() - 2);
      block = block_of_section(section, where);
      if (const std::string named = block.empty() ? named_section(section, where) : ""; !named.empty())
        plain = "[" + named + "]";
      else if (block.empty())
        check_section(section, where);
    }
    lines.push_back({std::move(plain), where, block});
  }
  return lines;
}

}  // namespace

std::vector<DeckEntry> parse_entries(const std::string& text, const std::string& origin) {
  namespace po = boost::program_options;
  const std::vector<Line> lines = significant_lines(text, origin);
  std::stringstream stream;
  for (const Line& line : lines) stream << line.text << '\n';

  std::vector<DeckEntry> entries;
  auto line = lines.begin();
  try {
    for (const auto& option : po::parse_config_file(stream, po::options_description(), true).options) {
      while (is_section(line->text)) ++line;
      std::string key = with_hashes(option.string_key);
      if (!line->block.empty()) key = name_in_section(key);
      entries.push_back({std::move(key), with_hashes(option.value.front()), line->where, line->block});
      ++line;
    }
  } catch (const po::invalid_config_file_syntax&) {
    line = std::ranges::find_if(lines, [](const Line& l) { return !is_section(l.text) && l.text.find('=') == l.text.npos; });
    throw usage_error("{}: '{}' has no '='. Expected a [section], 'key = value' or a comment after '#'", line->where, with_hashes(line->text));
  }
  return entries;
}

DeckEntry parse_override(const std::string& text) {
  const std::string where = "command line";
  check_text(text, where);
  const auto at = text.find('=');
  if (at == text.npos) throw usage_error("{}: '{}' has no '='. Expected section.key=value, as in data.batch=128", where, text);
  return {std::string(trim(text.substr(0, at))), std::string(trim(text.substr(at + 1))), where, {}};
}

std::string escaped(const std::string& value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '#') text += '\\';
    text += c;
  }
  return text;
}

}  // namespace trireme::detail
