#include "data/value_check.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/error.hpp"
#include "io/with_type.hpp"

namespace trireme {

namespace {

constexpr double tolerance = 1e-6;  // of a bound: what rounding makes of 255 * (1/255)

/// The largest magnitude, as bits: a loop without a branch, which compilers make vectors of. NaN and infinity are larger than all numbers.
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
  return static_cast<double>(value) <= limit;  // not of NaN
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
  // Nothing is lost by a limit that is too low: what lies above is looked at one by one.
  const bool plain = factor == 1 && shift == 0;
  safe_ = plain ? largest : (largest - std::min(shift, largest)) / factor * (1 - tolerance);
  if (rule.low == -std::numeric_limits<double>::infinity() && rule.high == std::numeric_limits<double>::infinity()) return;
  const double slack = tolerance * std::max({1.0, std::abs(rule.low), std::abs(rule.high)});
  bool always = is_integer(type);
  const auto [least, most] = with_type(type, []<class T>(T) {
    return std::pair{static_cast<double>(std::numeric_limits<T>::lowest()), static_cast<double>(std::numeric_limits<T>::max())};
  });
  const std::size_t channels = std::max(rule.factor.size(), rule.shift.size());
  for (std::size_t c = 0; c < channels; ++c) {
    const double f = rule.factor[rule.factor.size() == 1 ? 0 : c], s = rule.shift[rule.shift.size() == 1 ? 0 : c];
    if (f == 0) {
      const bool holds = s >= rule.low - slack && s <= rule.high + slack;
      low_.push_back(holds ? -std::numeric_limits<double>::max() : std::numeric_limits<double>::max());
      high_.push_back(holds ? std::numeric_limits<double>::max() : -std::numeric_limits<double>::max());
    } else {
      const double a = (rule.low - slack - s) / f, b = (rule.high + slack - s) / f;
      low_.push_back(std::min(a, b));
      high_.push_back(std::max(a, b));
    }
    always = always && low_.back() <= least && high_.back() >= most;
  }
  if (always) low_.clear(), high_.clear();
}

bool ValueCheck::passes(const std::byte* row) const {
  if (type_ == ElementType::f32 && !magnitudes_below<float>(row, elements_, safe_)) return false;
  if (type_ == ElementType::f64 && !magnitudes_below<double>(row, elements_, safe_)) return false;
  if (low_.empty()) return true;
  const std::int64_t run = elements_ / static_cast<std::int64_t>(low_.size());
  return with_type(type_, [&]<class Raw>(Raw) {
    for (std::size_t c = 0; c < low_.size(); ++c)
      if (!within<Raw>(row + static_cast<std::int64_t>(c * sizeof(Raw)) * run, run, low_[c], high_[c])) return false;
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
  return fmt::format("{:.9g}{}", value, plain ? "" : fmt::format(", which becomes {:.9g} by data.scale, mean and std", now));
}

ValueCheck::Fault ValueCheck::find(std::byte* row, bool gaps) const {
  for (std::int64_t i = 0; i < elements_; ++i) {
    const double value = number(row, i);
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
    if (!finite && !(std::isnan(value) && gaps)) return {i, "only finite numbers can be learned from. Hint: repair the row or leave it out"};
    if (!finite)
      return {i, "missing numbers cannot be learned from. Hint: data.missing = mean puts data.mean in the place of missing features; or leave the row out"};
    if (!cast_finite)
      return {i, rule_.single ? "that is not finite in fp32. Hint: repair the row or leave it out; train.precision = fp64 holds numbers up to 1.8e308"
                              : "that is not finite. Hint: repair the row, or correct data.scale, mean and std"};
    return {i, fmt::format("{} wants targets from {} to {}. Hint: store masks as 0 and 1, and probabilities as parts of 1; or take another loss", rule_.bounded_by,
                           rule_.low, rule_.high)};
  }
  return {};
}

}  // namespace trireme
