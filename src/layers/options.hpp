// Options of one `layer =` line, checked against the table of its kind.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "config/deck.hpp"

namespace trireme {

struct OptionSpec {
  std::string name;
  std::string fallback;  // "" : required
  std::string help;
  std::int64_t low = 0, high = 0;  // the range of a whole number, or of each in a list; high = 0: no whole number

  bool is_integer() const { return high > 0; }
};

// Ranges of options: far beyond what networks have, and small enough that products of a few of them fit in 64 bits.
inline constexpr std::int64_t most_channels = 1'000'000'000, most_places = 65536;
inline OptionSpec channels_option(const char* name, const char* fallback, const char* help) { return {name, fallback, help, 1, most_channels}; }
/// Places along each dimension: kernels, strides, paddings, factors.
inline OptionSpec places_option(const char* name, const char* fallback, const char* help, std::int64_t low) {
  return {name, fallback, help, low, most_places};
}

/// Options that every layer may have: how it lies on the process grid (src/parallel).
bool is_placement_option(const std::string& name);

class LayerOptions {
 public:
  /// Throws a usage error for an option that the table does not have or a required one that is missing.
  LayerOptions(const LayerSpec& spec, const std::vector<OptionSpec>& table);

  /// A whole number within the range that the table states.
  std::int64_t integer(const std::string& name) const;
  double real(const std::string& name, double low, double high) const;
  bool boolean(const std::string& name) const;
  /// One number for all `dims` dimensions or a comma-separated one for each; right-aligned in three, missing leading ones are `fill`.
  /// "same" as text is the caller's business.
  std::array<std::int64_t, 3> extents(const std::string& name, int dims, std::int64_t fill) const;
  const std::string& text(const std::string& name) const;
  /// The layer's place in the deck, from 1.
  int number() const { return spec_.number; }
  /// "layer 3 (conv)": for messages.
  std::string where() const;

 private:
  const OptionSpec& entry(const std::string& name) const;
  std::int64_t within(const OptionSpec& option, const std::string& text) const;

  const LayerSpec& spec_;
  std::vector<OptionSpec> values_;  // fallback holds the value in force
};

}  // namespace trireme
