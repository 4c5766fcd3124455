// Checks the numbers of a row: after conversion for the network they must be finite, and within the domain of the loss.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "io/shard.hpp"

namespace trireme {

/// The numbers that a loss takes: class numbers, or numbers within bounds.
struct ValueDomain {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();  // of the converted numbers
  std::int64_t classes = 0;  // numbers must be whole, from 0 to classes - 1; 0: any numbers
  std::string set_by;        // "loss.kind = bce", for messages

  bool bounded() const { return low != -std::numeric_limits<double>::infinity() || high != std::numeric_limits<double>::infinity(); }
};

/// Numbers are cast to the type of the training, then converted: number * factor + shift. One factor, shift and domain per channel (rows are channels
/// first), or one for all.
struct ValueRule {
  bool single = false;  // the type of the training is float
  std::vector<double> factor{1}, shift{0};
  std::vector<ValueDomain> domains{{}};
  bool labels = false;            // for hints
  bool ignorable = true;          // loss.ignore could be set; for hints
  std::optional<double> ignored;  // numbers of this value (or NaN) are never faults
  std::vector<double> instead;    // replacements of missing numbers (NaN), one per channel or one for all; empty: missing numbers are faults
};

/// Whether a stored number is the ignored one. A number that was rounded to float when it was stored counts as the same.
inline bool is_ignored(double value, double ignored) {
  return ignored != ignored ? value != value : value == ignored || value == static_cast<double>(static_cast<float>(ignored));
}

class ValueCheck {
 public:
  ValueCheck() = default;
  /// `elements`: numbers per row (or in the part that is read).
  ValueCheck(const ValueRule& rule, ElementType type, std::int64_t elements);

  /// A fast check; returns true only if the row has no fault.
  bool passes(const std::byte* row) const;
  struct Fault {
    std::int64_t at = -1;  // index of the number in the row; -1: none
    std::string what;      // reason and remedy
  };
  /// Finds the first fault. Replaces missing numbers if the rule says so.
  Fault find(std::byte* row, bool gaps) const;
  /// The number as text, for messages: "NaN", "255", "1e+60". `gaps`: the file marks missing numbers.
  std::string reason(const std::byte* row, std::int64_t at, bool gaps) const;
  std::int64_t elements() const { return elements_; }

 private:
  double number(const std::byte* row, std::int64_t i) const;
  std::size_t channel(std::int64_t i, std::size_t of) const { return of <= 1 ? 0 : static_cast<std::size_t>(i / (elements_ / static_cast<std::int64_t>(of))); }
  double becomes(double value, std::int64_t at) const;
  const ValueDomain& domain(std::int64_t at) const { return rule_.domains[channel(at, rule_.domains.size())]; }
  template <class Raw>
  bool holds_classes(const std::byte* row, std::int64_t count, std::int64_t classes) const;
  void set_bounds();

  ValueRule rule_;
  ElementType type_ = ElementType::u8;
  std::int64_t elements_ = 0;
  double safe_ = 0;                 // numbers up to this magnitude cannot overflow
  bool classes_ = false;            // some channel has class numbers
  std::vector<double> low_, high_;  // bounds of stored numbers, per channel; empty: no bounds
};

}  // namespace trireme
