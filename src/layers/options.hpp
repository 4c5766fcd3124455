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
  std::int64_t low = 0, high = 0;  // range of an integer, or of each integer of a list; high = 0: not an integer

  bool is_integer() const { return high > 0; }
};

// Ranges of options: far larger than in real networks, and small enough that products of a few of them fit in 64 bits.
inline constexpr std::int64_t most_channels = 1'000'000'000, most_places = 65536;
inline OptionSpec channels_option(const char* name, const char* fallback, const char* help) { return {name, fallback, help, 1, most_channels}; }
/// Positions along each dimension: kernels, strides, paddings, factors.
inline OptionSpec places_option(const char* name, const char* fallback, const char* help, std::int64_t low) { return {name, fallback, help, low, most_places}; }

/// Options of every layer: its placement on the process grid (src/parallel).
bool is_placement_option(const std::string& name);

class LayerOptions {
 public:
  /// Throws a usage error if an option is not in the table or a required one is missing.
  LayerOptions(const LayerSpec& spec, const std::vector<OptionSpec>& table);

  /// An integer in the range of the table.
  std::int64_t integer(const std::string& name) const;
  double real(const std::string& name, double low, double high) const;
  bool boolean(const std::string& name) const;
  /// One number for all `dims` dimensions, or a comma-separated list with one per dimension. The result is right-aligned in three; missing leading ones are
  /// `fill`. The caller handles the text "same".
  std::array<std::int64_t, 3> extents(const std::string& name, int dims, std::int64_t fill) const;
  const std::string& text(const std::string& name) const;
  /// Number of the layer in the deck, from 1.
  int number() const { return spec_.number; }
  /// "layer 3 (conv)", for messages.
  std::string where() const;

 private:
  const OptionSpec& entry(const std::string& name) const;
  std::int64_t within(const OptionSpec& option, const std::string& text) const;

  const LayerSpec& spec_;
  std::vector<OptionSpec> values_;  // fallback holds the effective value
};

}  // namespace trireme
