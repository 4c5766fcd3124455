// What the numbers of a row must be, so that what they become on their way into the network is a number, and one that the loss is defined for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "io/shard.hpp"

namespace trireme {

/// Numbers are cast to the training's type, then become number * factor + shift. One factor and shift a channel (rows are channels first), or one for all.
struct ValueRule {
  bool single = false;  // the training's type is float
  std::vector<double> factor{1}, shift{0};
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();  // of what they become
  std::string bounded_by;      // who wants that: "loss.kind = bce"
  std::vector<double> instead;  // of missing numbers (NaN), one a channel or one for all; empty: none may be missing
};

class ValueCheck {
 public:
  ValueCheck() = default;
  /// `elements`: numbers of a row (or of the part that is read).
  ValueCheck(const ValueRule& rule, ElementType type, std::int64_t elements);

  /// A quick look at a row: whether nothing can be wrong with it.
  bool passes(const std::byte* row) const;
  struct Fault {
    std::int64_t at = -1;  // number of the row; -1: none
    std::string what;      // why it is refused, with the remedy
  };
  /// The first number that is wrong. Missing numbers are replaced where the rule says by what.
  Fault find(std::byte* row, bool gaps) const;
  /// The number, for messages: "NaN", "255", "1e+60". `gaps`: the file says which numbers are missing.
  std::string reason(const std::byte* row, std::int64_t at, bool gaps) const;
  std::int64_t elements() const { return elements_; }

 private:
  double number(const std::byte* row, std::int64_t i) const;
  std::size_t channel(std::int64_t i, std::size_t of) const { return of <= 1 ? 0 : static_cast<std::size_t>(i / (elements_ / static_cast<std::int64_t>(of))); }
  double becomes(double value, std::int64_t at) const;

  ValueRule rule_;
  ElementType type_ = ElementType::u8;
  std::int64_t elements_ = 0;
  double safe_ = 0;               // no magnitude up to this can become infinite
  std::vector<double> low_, high_;  // stored numbers whose values are in bounds, a channel; empty: all are, whatever they are
};

}  // namespace trireme
