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
};

/// Options that every layer may have: how it lies on the process grid (src/parallel).
bool is_placement_option(const std::string& name);

class LayerOptions {
 public:
  /// Throws a usage error for an option that the table does not have or a required one that is missing.
  LayerOptions(const LayerSpec& spec, const std::vector<OptionSpec>& table);

  std::int64_t integer(const std::string& name, std::int64_t least) const;
  double real(const std::string& name, double low, double high) const;
  bool boolean(const std::string& name) const;
  /// One number for all `dims` dimensions or a comma-separated one for each; right-aligned in three, missing leading ones are `fill`.
  /// "same" as text is the caller's business.
  std::array<std::int64_t, 3> extents(const std::string& name, int dims, std::int64_t fill, std::int64_t least) const;
  const std::string& text(const std::string& name) const;
  /// The layer's place in the deck, from 1.
  int number() const { return spec_.number; }
  /// "layer 3 (conv)": for messages.
  std::string where() const;

 private:
  const LayerSpec& spec_;
  std::vector<OptionSpec> values_;  // fallback holds the value in force
};

}  // namespace trireme
