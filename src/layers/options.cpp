#include "layers/options.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"

namespace trireme {

bool is_placement_option(const std::string& name) { return name == "tensor" || name == "spatial" || name == "stage"; }

LayerOptions::LayerOptions(const LayerSpec& spec, const std::vector<OptionSpec>& table) : spec_(spec), values_(table) {
  std::vector<std::string> names;
  for (const auto& option : table) names.push_back(option.name);
  for (const auto& [name, value] : spec.options) {
    const auto found = std::ranges::find(values_, name, &OptionSpec::name);
    if (found == values_.end() && is_placement_option(name)) continue;
    if (found == values_.end()) {
      if (names.empty()) throw usage_error("{}: unknown option '{}' in 'layer = {}'. Hint: this layer takes no options", where(), name, spec.text);
      throw usage_error("{}: unknown option '{}' in 'layer = {}'. Hint: {}The options of this layer are {}", where(), name, spec.text,
                        did_you_mean(name, names), fmt::join(names, ", "));
    }
    found->fallback = value;
  }
  for (const auto& option : values_)
    if (option.fallback.empty())
      throw usage_error("{}: option '{}' is missing in 'layer = {}'. Hint: add {}=VALUE. Meaning: {}", where(), option.name, spec.text, option.name,
                        option.help);
}

std::string LayerOptions::where() const { return spec_.called(); }

const OptionSpec& LayerOptions::entry(const std::string& name) const {
  const auto found = std::ranges::find(values_, name, &OptionSpec::name);
  if (found == values_.end()) throw internal_error("layer option '{}' is not in the table of '{}'", name, spec_.kind);
  return *found;
}

const std::string& LayerOptions::text(const std::string& name) const { return entry(name).fallback; }

std::int64_t LayerOptions::within(const OptionSpec& option, const std::string& text) const {
  if (!option.is_integer()) throw internal_error("layer option '{}' of '{}' is not an integer", option.name, spec_.kind);
  const std::int64_t value = parse_integer(text, where() + " " + option.name);
  if (value < option.low) throw usage_error("{}: {} = {} is too small. Expected {} to {}", where(), option.name, value, option.low, option.high);
  if (value > option.high) throw usage_error("{}: {} = {} is too large. Expected {} to {}", where(), option.name, value, option.low, option.high);
  return value;
}

std::int64_t LayerOptions::integer(const std::string& name) const {
  const OptionSpec& option = entry(name);
  return within(option, option.fallback);
}

double LayerOptions::real(const std::string& name, double low, double high) const {
  const double value = parse_real(text(name), where() + " " + name);
  if (!(value >= low && value <= high)) throw usage_error("{}: {} = {} is out of range. Expected {} to {}", where(), name, text(name), low, high);
  return value;
}

bool LayerOptions::boolean(const std::string& name) const {
  const std::string& value = text(name);
  if (value == "true" || value == "yes" || value == "1") return true;
  if (value == "false" || value == "no" || value == "0") return false;
  throw usage_error("{}: {} = '{}' is neither true nor false. Expected true, yes, 1 or false, no, 0", where(), name, value);
}

std::array<std::int64_t, 3> LayerOptions::extents(const std::string& name, int dims, std::int64_t fill) const {
  const OptionSpec& option = entry(name);
  const auto parts = split(text(name), ',');
  if (parts.size() != 1 && parts.size() != static_cast<std::size_t>(dims))
    throw usage_error("{}: {} = {} has {} numbers; its input has {} spatial dimension(s). Expected 1 or {} numbers", where(), name, text(name), parts.size(),
                      dims, dims);
  std::array<std::int64_t, 3> values{fill, fill, fill};
  for (int a = 0; a < dims; ++a) {
    const auto& part = parts[parts.size() == 1 ? 0 : static_cast<std::size_t>(a)];
    values[static_cast<std::size_t>(3 - dims + a)] = within(option, part);
  }
  return values;
}

}  // namespace trireme
