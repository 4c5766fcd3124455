// Values of keys: numbers from text, and the check against a key's type, choices and range.
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/sample_shape.hpp"
#include "base/text.hpp"
#include "config/detail/keys.hpp"

namespace trireme {

namespace {

/// Whether the whole of `text` is one finite number.
template <class T>
bool read_number(std::string_view text, T& value) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc{} && end == text.data() + text.size();
}

}  // namespace

double parse_real(const std::string& text, const std::string& what) {
  const std::string_view trimmed = trim(text);
  const auto slash = trimmed.find('/');
  double value = 0, divisor = 1;
  bool legal = read_number(trim(trimmed.substr(0, slash)), value);
  if (slash != trimmed.npos) legal = legal && read_number(trim(trimmed.substr(slash + 1)), divisor);
  value /= divisor;
  if (!legal || !std::isfinite(value)) throw usage_error("{} = '{}' is not a real number. Expected a finite number such as 3, 0.5, 1e-3 or 1/255", what, text);
  return value;
}

std::int64_t parse_integer(const std::string& text, const std::string& what) {
  std::int64_t value = 0;
  if (!read_number(trim(text), value))
    throw usage_error("{} = '{}' is not an integer. Expected a 64-bit integer without point or exponent, such as 128", what, text);
  return value;
}

namespace detail {

namespace {

std::string range_text(const KeySpec& spec) {
  const auto written = [&](double end) {
    return spec.type == KeySpec::Type::integer ? std::to_string(static_cast<std::int64_t>(end)) : fmt::format("{}", end);
  };
  std::vector<std::string> ends;
  if (spec.low != KeySpec{}.low) ends.push_back(fmt::format("{} {}", spec.open_low ? ">" : ">=", written(spec.low)));
  if (spec.high != KeySpec{}.high) ends.push_back(fmt::format("{} {}", spec.open_high ? "<" : "<=", written(spec.high)));
  return ends.empty() ? "" : fmt::format(" {}", fmt::join(ends, " and "));
}

void check_range(const KeySpec& spec, double value, const std::string& text, const std::string& what) {
  if (value < spec.low || value > spec.high || (spec.open_low && value == spec.low) || (spec.open_high && value == spec.high))
    throw usage_error("{} = {} is out of range. Expected {}", what, text, expectation(spec));
}

std::string checked_integer(const KeySpec& spec, const std::string& text, const std::string& what) {
  const std::int64_t value = parse_integer(text, what);
  // The comparison uses integers: a double cannot represent every large integer. Every integer key has both bounds, and both are allowed values.
  if (value < static_cast<std::int64_t>(spec.low) || value > static_cast<std::int64_t>(spec.high))
    throw usage_error("{} = {} is out of range. Expected {}", what, text, expectation(spec));
  return std::to_string(value);
}

std::string checked_real(const KeySpec& spec, const std::string& text, const std::string& what) {
  const double value = parse_real(text, what);
  check_range(spec, value, text, what);
  return text.find('/') == text.npos ? fmt::format("{}", value) : text;
}

std::string checked_boolean(const std::string& text, const std::string& what) {
  static constexpr std::array<std::string_view, 4> yes{"true", "yes", "on", "1"}, no{"false", "no", "off", "0"};
  if (std::ranges::find(yes, text) != yes.end()) return "true";
  if (std::ranges::find(no, text) != no.end()) return "false";
  throw usage_error("{} = '{}' is neither true nor false. Expected true, yes, on, 1 or false, no, off, 0", what, text);
}

std::string checked_list(const KeySpec& spec, const std::string& text, const std::string& what) {
  std::vector<std::string> items = split(text, ',');
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = checked_real(spec, items[i], fmt::format("{} (item {})", what, i + 1));
  return fmt::format("{}", fmt::join(items, ", "));
}

/// A shape, or several with names: "state:3x32x64, static:2x32x64".
std::string checked_shape(const std::string& text, const std::string& what) {
  if (text.find(':') == text.npos) return sample_shape(text, what).text();
  std::string all;
  std::vector<std::string> names;
  Shape first;
  for (const std::string& item : split(text, ',')) {
    const auto colon = item.find(':');
    const std::string name(trim(std::string_view(item).substr(0, colon)));
    const auto legal = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
    if (colon == item.npos || name.empty() || name == "input" || !std::ranges::all_of(name, legal))
      throw usage_error("{} = '{}': expected NAME:SHAPE for each input, separated by commas, as in state:3x32x64, static:2x32x64; the name input is taken",
                        what, text);
    if (std::ranges::find(names, name) != names.end()) throw usage_error("{} = '{}' has two inputs '{}'", what, text, name);
    names.push_back(name);
    const Shape shape = sample_shape(std::string(trim(std::string_view(item).substr(colon + 1))), what);
    if (first.rank() > 0 && !std::ranges::equal(first.span().subspan(1), shape.span().subspan(1)))
      throw usage_error(
          "{} = '{}': the inputs have different pixels, {} and {}. Hint: all inputs need the same spatial extents; numbers without pixels fill "
          "their channels, as in params:5x32x64",
          what, text, first.text(), shape.text());
    if (first.rank() == 0) first = shape;
    all += fmt::format("{}{}:{}", all.empty() ? "" : ", ", name, shape.text());
  }
  return all;
}

}  // namespace

std::string expectation(const KeySpec& spec) {
  switch (spec.type) {
    case KeySpec::Type::integer:
      return "integer" + range_text(spec);
    case KeySpec::Type::real:
      return "real" + range_text(spec);
    case KeySpec::Type::boolean:
      return "true or false";
    case KeySpec::Type::text:
      return spec.filled ? "text, not empty" : "text";
    case KeySpec::Type::choice:
      return fmt::format("one of {}", fmt::join(spec.choices, ", "));
    case KeySpec::Type::shape:
      return "shape";
    case KeySpec::Type::list:
      return "list of reals" + range_text(spec);
  }
  throw internal_error("deck key '{}' has no type", spec.name);
}

std::string checked(const KeySpec& spec, const std::string& value, const std::string& where) {
  const std::string what = fmt::format("{}: {}", where, spec.name);
  switch (spec.type) {
    case KeySpec::Type::integer:
      return checked_integer(spec, value, what);
    case KeySpec::Type::real:
      return checked_real(spec, value, what);
    case KeySpec::Type::boolean:
      return checked_boolean(value, what);
    case KeySpec::Type::list:
      return checked_list(spec, value, what);
    case KeySpec::Type::shape:
      return checked_shape(value, what);
    case KeySpec::Type::choice:
      if (std::ranges::find(spec.choices, value) == spec.choices.end())
        throw usage_error("{} = '{}' is not {}{}", what, value, expectation(spec), near_hint(value, spec.choices));
      return value;
    case KeySpec::Type::text:
      if (spec.filled && value.empty()) throw usage_error("{} is empty. Expected a non-empty text. Meaning: {}", what, spec.help);
      return value;
  }
  throw internal_error("deck key '{}' has no type", spec.name);
}

}  // namespace detail

}  // namespace trireme
