#include "data/value_check.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"
#include "io/with_type.hpp"

namespace trireme {

namespace {

constexpr double tolerance = 1e-6;  // relative to a bound: rounding error of 255 * (1/255)

/// The largest magnitude, as bits, in a loop without branches, which compilers vectorize. NaN and infinity are larger than all numbers.
template <class Float>
auto largest_bits(const std::byte* row, std::int64_t n) {
  using Bits = std::conditional_t<sizeof(Float) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits sign = Bits{1} << (8 * sizeof(Float) - 1);
  Bits largest = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    Bits bits;
    std::memcpy(&bits, row + i * static_cast<std::int64_t>(sizeof(Float)), sizeof(Float));
    bits &= static_cast<Bits>(~sign);
    largest = bits > largest ? bits : largest;
  }
  return largest;
}

template <class Float>
bool magnitudes_below(const std::byte* row, std::int64_t n, double limit) {
  const auto largest = largest_bits<Float>(row, n);
  Float value;
  std::memcpy(&value, &largest, sizeof(Float));
  return static_cast<double>(value) <= limit;  // false for NaN
}

template <class Raw>
bool within(const std::byte* row, std::int64_t n, double low, double high) {
  int bad = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    Raw value;
    std::memcpy(&value, row + i * static_cast<std::int64_t>(sizeof(Raw)), sizeof(Raw));
    const auto wide = static_cast<double>(value);
    bad |= !(wide >= low && wide <= high);
  }
  return bad == 0;
}

}  // namespace

ValueCheck::ValueCheck(const ValueRule& rule, ElementType type, std::int64_t elements) : rule_(rule), type_(type), elements_(elements) {
  const double largest = rule.single ? double{std::numeric_limits<float>::max()} : std::numeric_limits<double>::max();
  double factor = 1, shift = 0;
  for (const double f : rule.factor) factor = std::max(factor, std::abs(f));
  for (const double s : rule.shift) shift = std::max(shift, std::abs(s));
  // A limit that is too low is safe: numbers above it are checked one by one.
  const bool plain = factor == 1 && shift == 0;
  safe_ = plain ? largest : (largest - std::min(shift, largest)) / factor * (1 - tolerance);
  classes_ = std::ranges::any_of(rule_.domains, [](const ValueDomain& domain) { return domain.classes > 0; });
  if (classes_ || std::ranges::any_of(rule_.domains, &ValueDomain::bounded)) set_bounds();
}

void ValueCheck::set_bounds() {
  bool always = is_integer(type_) && !classes_;
  const auto [least, most] = with_type(type_, []<class T>(T) {
    return std::pair{static_cast<double>(std::numeric_limits<T>::lowest()), static_cast<double>(std::numeric_limits<T>::max())};
  });
  constexpr double anything = std::numeric_limits<double>::max();
  const std::size_t channels = std::max({rule_.factor.size(), rule_.shift.size(), rule_.domains.size()});
  for (std::size_t c = 0; c < channels; ++c) {
    const double f = rule_.factor[rule_.factor.size() == 1 ? 0 : c], s = rule_.shift[rule_.shift.size() == 1 ? 0 : c];
    const ValueDomain& domain = rule_.domains[rule_.domains.size() == 1 ? 0 : c];
    double low = -anything, high = anything;
    if (domain.bounded()) {
      const double slack = tolerance * std::max({1.0, std::abs(domain.low), std::abs(domain.high)});
      if (f == 0) {
        if (s < domain.low - slack || s > domain.high + slack) std::swap(low, high);
      } else {
        const double a = (domain.low - slack - s) / f, b = (domain.high + slack - s) / f;
        low = std::min(a, b);
        high = std::max(a, b);
      }
    }
    low_.push_back(low);
    high_.push_back(high);
    always = always && low <= least && high >= most;
  }
  if (always) low_.clear(), high_.clear();
}

template <class Raw>
bool ValueCheck::holds_classes(const std::byte* row, std::int64_t count, std::int64_t classes) const {
  const auto end = static_cast<double>(classes);
  bool bad = false;
  for (std::int64_t i = 0; i < count; ++i) {
    Raw value;
    std::memcpy(&value, row + i * static_cast<std::int64_t>(sizeof(Raw)), sizeof(Raw));
    const auto wide = static_cast<double>(value);
    bad |= !(wide >= 0 && wide < end && wide == std::floor(wide)) && !(rule_.ignored && is_ignored(wide, *rule_.ignored));
  }
  return !bad;
}

bool ValueCheck::passes(const std::byte* row) const {
  if (classes_ && rule_.domains.size() == 1)
    return with_type(type_, [&]<class Raw>(Raw) { return holds_classes<Raw>(row, elements_, rule_.domains[0].classes); });
  if (type_ == ElementType::f32 && !magnitudes_below<float>(row, elements_, safe_)) return false;
  if (type_ == ElementType::f64 && !magnitudes_below<double>(row, elements_, safe_)) return false;
  if (low_.empty()) return true;
  const std::int64_t run = elements_ / static_cast<std::int64_t>(low_.size());
  return with_type(type_, [&]<class Raw>(Raw) {
    for (std::size_t c = 0; c < low_.size(); ++c) {
      const std::byte* const part = row + static_cast<std::int64_t>(c * sizeof(Raw)) * run;
      const std::int64_t classes = rule_.domains[rule_.domains.size() == 1 ? 0 : c].classes;
      if (classes > 0 ? !holds_classes<Raw>(part, run, classes) : !within<Raw>(part, run, low_[c], high_[c])) return false;
    }
    return true;
  });
}

double ValueCheck::number(const std::byte* row, std::int64_t i) const {
  return with_type(type_, [&]<class Raw>(Raw value) {
    std::memcpy(&value, row + i * static_cast<std::int64_t>(sizeof(Raw)), sizeof(Raw));
    return static_cast<double>(value);
  });
}

double ValueCheck::becomes(double value, std::int64_t at) const {
  const double factor = rule_.factor[channel(at, rule_.factor.size())], shift = rule_.shift[channel(at, rule_.shift.size())];
  if (!rule_.single) return value * factor + shift;
  return static_cast<double>(static_cast<float>(value) * static_cast<float>(factor) + static_cast<float>(shift));
}

std::string ValueCheck::reason(const std::byte* row, std::int64_t at, bool gaps) const {
  const double value = number(row, at);
  if (std::isnan(value)) return gaps ? "a missing value (_FillValue, missing_value, outside the valid range, or NaN)" : "NaN";
  if (std::isinf(value)) return "an infinity";
  const double now = becomes(value, at);
  const bool plain = rule_.factor.size() == 1 && rule_.factor[0] == 1 && rule_.shift.size() == 1 && rule_.shift[0] == 0;
  return fmt::format("{:.9g}{}", value, plain ? "" : fmt::format(", which becomes {:.9g} after data.scale, data.mean and data.std", without_nan_sign(now)));
}

ValueCheck::Fault ValueCheck::find(std::byte* row, bool gaps) const {
  for (std::int64_t i = 0; i < elements_; ++i) {
    const double value = number(row, i);
    if (rule_.ignored && is_ignored(value, *rule_.ignored)) continue;
    const ValueDomain& domain = this->domain(i);
    if (domain.classes > 0) {
      if (value >= 0 && value < static_cast<double>(domain.classes) && value == std::floor(value)) continue;
      return {i, fmt::format("{} needs class numbers, whole numbers from 0 to {}. Hint: number the classes from 0, or set the channels of the network's last "
                             "layer to the number of classes{}",
                             domain.set_by, domain.classes - 1, rule_.ignorable ? "; loss.ignore = VALUE leaves out pixels with this label" : "")};
    }
    if (std::isnan(value) && !rule_.instead.empty()) {
      const double instead = rule_.instead[channel(i, rule_.instead.size())];
      if (type_ == ElementType::f32) {
        const auto narrow = static_cast<float>(instead);
        std::memcpy(row + i * 4, &narrow, 4);
      } else {
        std::memcpy(row + i * 8, &instead, 8);
      }
      continue;
    }
    const bool finite = std::isfinite(value);
    const bool cast_finite = finite && std::isfinite(becomes(value, i));
    const std::size_t c = channel(i, low_.size());
    if (cast_finite && (low_.empty() || (value >= low_[c] && value <= high_[c]))) continue;
    if (!finite && !(std::isnan(value) && gaps))
      return {i, !rule_.labels     ? "the network needs finite numbers. Hint: repair or remove the row"
                 : rule_.ignorable ? "the loss needs finite numbers. Hint: repair or remove the row; loss.ignore = nan leaves out targets that are NaN"
                                   : "the loss needs finite numbers. Hint: repair or remove the row"};
    if (!finite) return {i, "the network needs numbers without gaps. Hint: data.missing = mean replaces missing features by data.mean; or remove the row"};
    if (!cast_finite)
      return {i, rule_.single ? "this is not finite in fp32. Hint: repair or remove the row; train.precision = fp64 holds numbers up to 1.8e308"
                              : "this is not finite. Hint: repair the row, or correct data.scale, data.mean and data.std"};
    return {i, fmt::format("{} needs targets from {} to {}. Hint: store masks as 0 and 1, and probabilities as numbers from 0 to 1; or use another loss{}",
                           domain.set_by, domain.low, domain.high, rule_.ignorable ? "; loss.ignore = VALUE leaves out targets of this value" : "")};
  }
  return {};
}

}  // namespace trireme
