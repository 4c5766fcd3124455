#include "io/detail/decoding.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "io/with_type.hpp"

namespace trireme::detail {

namespace {

struct Numbers {
  std::vector<AttributeNumber> values;
  bool single = false;  // float32

  double real(std::size_t i) const {
    return std::visit([](auto value) { return static_cast<double>(value); }, values[i]);
  }
};

template <class T>
void read_as(const h5::Attribute& attribute, hid_t type, std::vector<AttributeNumber>& values, const std::string& at) {
  std::vector<T> read(values.size());
  TRIREME_H5(H5Aread(attribute, type, read.data()), at);
  std::ranges::copy(read, values.begin());
}

/// Up to `most` numbers of an attribute; empty if it does not exist.
Numbers numbers(hid_t dataset, const char* name, std::size_t least, std::size_t most, const std::string& context) {
  Numbers found;
  if (TRIREME_H5(H5Aexists(dataset, name), context) == 0) return found;
  const std::string at = context + ", attribute " + name;
  const h5::Attribute attribute(TRIREME_H5(H5Aopen(dataset, name, H5P_DEFAULT), at));
  const h5::Type type(TRIREME_H5(H5Aget_type(attribute), at));
  const h5::Space space(TRIREME_H5(H5Aget_space(attribute), at));
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  const H5T_class_t kind = H5Tget_class(type);
  const bool counts = count >= static_cast<hssize_t>(least) && count <= static_cast<hssize_t>(most);
  if ((kind != H5T_INTEGER && kind != H5T_FLOAT) || !counts)
    throw data_error(
        "shard '{}' holds {} element(s) of type {}; netCDF's conventions require {} number(s). Hint: data.netcdf = false reads the stored numbers "
        "without conversion",
        at, count, h5::type_text(type), least == most ? std::to_string(least) : fmt::format("{} to {}", least, most));
  found.values.resize(static_cast<std::size_t>(count));
  if (kind == H5T_FLOAT)
    read_as<double>(attribute, H5T_NATIVE_DOUBLE, found.values, at);
  else if (H5Tget_sign(type) == H5T_SGN_NONE)
    read_as<std::uint64_t>(attribute, H5T_NATIVE_UINT64, found.values, at);
  else
    read_as<std::int64_t>(attribute, H5T_NATIVE_INT64, found.values, at);
  found.single = kind == H5T_FLOAT && H5Tget_size(type) <= 4;
  return found;
}

/// What a text attribute says, true or false in any case; empty if it does not exist or says something else.
std::optional<bool> truth_of(hid_t dataset, const char* name, const std::string& context) {
  if (TRIREME_H5(H5Aexists(dataset, name), context) == 0) return std::nullopt;
  const h5::Attribute attribute(TRIREME_H5(H5Aopen(dataset, name, H5P_DEFAULT), context));
  const h5::Type type(TRIREME_H5(H5Aget_type(attribute), context));
  const h5::Space space(TRIREME_H5(H5Aget_space(attribute), context));
  if (H5Tget_class(type) != H5T_STRING || H5Sget_simple_extent_npoints(space) != 1) return std::nullopt;
  std::string text;
  if (H5Tis_variable_str(type) > 0) {
    char* read = nullptr;
    TRIREME_H5(H5Aread(attribute, type, &read), context);
    if (read != nullptr) text = read;
    H5free_memory(read);
  } else {
    text.resize(H5Tget_size(type));
    TRIREME_H5(H5Aread(attribute, type, text.data()), context);
  }
  text.resize(std::min(text.find('\0'), text.size()));
  text.resize(text.find_last_not_of(' ') + 1);
  std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (text == "true") return true;
  return text == "false" ? std::optional(false) : std::nullopt;
}

ElementType as_unsigned(ElementType type) {
  switch (type) {
    case ElementType::i8:
      return ElementType::u8;
    case ElementType::i16:
      return ElementType::u16;
    case ElementType::i32:
      return ElementType::u32;
    case ElementType::i64:
      return ElementType::u64;
    default:
      return type;
  }
}

ElementType as_signed(ElementType type) {
  switch (type) {
    case ElementType::u8:
      return ElementType::i8;
    case ElementType::u16:
      return ElementType::i16;
    case ElementType::u32:
      return ElementType::i32;
    case ElementType::u64:
      return ElementType::i64;
    default:
      return type;
  }
}

/// Number `value` of an attribute, written in the type of the file, as one of the type that is meant: -1 in a byte is 255 if bytes are unsigned.
AttributeNumber as_meant(AttributeNumber value, ElementType stored, ElementType meant) {
  if (stored == meant) return value;
  return with_type(meant, [&]<class Meant>(Meant) -> AttributeNumber {
    if constexpr (std::is_integral_v<Meant>) {
      using Other = std::conditional_t<std::is_signed_v<Meant>, std::make_unsigned_t<Meant>, std::make_signed_t<Meant>>;
      const auto whole = std::visit(
          [](auto number) -> std::optional<Other> {
            if constexpr (std::is_integral_v<decltype(number)>) {
              if (std::in_range<Other>(number)) return static_cast<Other>(number);
            } else if (number == std::floor(number) && number >= static_cast<double>(std::numeric_limits<Other>::min()) &&
                       number < std::ldexp(1.0, std::numeric_limits<Other>::digits)) {
              return static_cast<Other>(number);
            }
            return std::nullopt;
          },
          value);
      if (!whole) return value;
      if constexpr (std::is_signed_v<Meant>)
        return std::int64_t{static_cast<Meant>(*whole)};
      else
        return std::uint64_t{static_cast<Meant>(*whole)};
    } else {
      return value;
    }
  });
}

/// Whether a stored number of type T can be equal to the number.
template <class T>
bool can_be(const AttributeNumber& value) {
  return std::visit(
      [](auto number) {
        if constexpr (std::is_floating_point_v<T>)
          return true;
        else if constexpr (std::is_integral_v<decltype(number)>)
          return std::in_range<T>(number);
        else
          return number == std::floor(number) && number >= static_cast<double>(std::numeric_limits<T>::min()) &&
                 number < std::ldexp(1.0, std::numeric_limits<T>::digits);
      },
      value);
}

/// The stored numbers that are valid: integers for integers, so that nothing is rounded.
template <class Stored>
struct ValidRange {
  using Compared = std::conditional_t<std::is_integral_v<Stored>, Stored, double>;
  Compared least = std::numeric_limits<Compared>::lowest(), most = std::numeric_limits<Compared>::max();
  bool empty = false;

  explicit ValidRange(const Decoding& d) {
    if constexpr (std::is_floating_point_v<Stored>) least = -std::numeric_limits<double>::infinity(), most = -least;
    for (const AttributeNumber& low : d.low) std::visit([this](auto number) { raise(number); }, low);
    for (const AttributeNumber& high : d.high) std::visit([this](auto number) { lower(number); }, high);
  }
  bool holds(Stored stored) const { return !empty && !(static_cast<Compared>(stored) < least) && !(static_cast<Compared>(stored) > most); }

 private:
  template <class Number>
  void raise(Number low) {
    if constexpr (!std::is_integral_v<Compared>)
      least = std::max(least, static_cast<double>(low));
    else if constexpr (std::is_integral_v<Number>) {
      if (std::cmp_greater(low, most))
        empty = true;
      else if (std::cmp_greater(low, least))
        least = static_cast<Compared>(low);
    } else if (std::ceil(low) >= std::ldexp(1.0, std::numeric_limits<Compared>::digits)) {
      empty = true;
    } else if (std::ceil(low) > static_cast<double>(std::numeric_limits<Compared>::min())) {
      least = std::max(least, static_cast<Compared>(std::ceil(low)));
    }
  }
  template <class Number>
  void lower(Number high) {
    if constexpr (!std::is_integral_v<Compared>)
      most = std::min(most, static_cast<double>(high));
    else if constexpr (std::is_integral_v<Number>) {
      if (std::cmp_less(high, least))
        empty = true;
      else if (std::cmp_less(high, most))
        most = static_cast<Compared>(high);
    } else if (std::floor(high) < static_cast<double>(std::numeric_limits<Compared>::min())) {
      empty = true;
    } else if (std::floor(high) < std::ldexp(1.0, std::numeric_limits<Compared>::digits)) {
      most = std::min(most, static_cast<Compared>(std::floor(high)));
    }
  }
};

std::string text_of(const std::vector<AttributeNumber>& values) {
  std::vector<std::string> texts;
  for (const AttributeNumber& value : values) texts.push_back(std::visit([](auto number) { return fmt::format("{}", number); }, value));
  return fmt::format("{}", fmt::join(texts, ","));
}

template <class Stored, class Value>
void decode_as(const Decoding& d, std::int64_t n, std::int64_t row, const std::byte* from, std::byte* to) {
  // Attributes are compared in the stored type: a fill value of 1e20 is another number in float32 than in double.
  std::vector<Stored> missing;
  for (const AttributeNumber& value : d.missing) missing.push_back(std::visit([](auto number) { return static_cast<Stored>(number); }, value));
  const bool moments = !d.row_factor.empty(), bounded = !d.low.empty() || !d.high.empty();
  const ValidRange<Stored> valid(d);
  const Stored first_missing = missing.empty() ? Stored{} : missing.front();
  for (std::int64_t i = 0; i < n; ++i) {
    Stored stored;
    std::memcpy(&stored, from + static_cast<std::size_t>(i) * sizeof(Stored), sizeof(Stored));
    double value = static_cast<double>(stored);
    bool gone = !missing.empty() && (stored == first_missing || (missing.size() > 1 && std::ranges::find(missing, stored) != missing.end()));
    if (bounded) gone = gone || !valid.holds(stored);
    value = value * d.factor + d.offset;
    if (moments) value = value * d.row_factor[static_cast<std::size_t>(i % row)] + d.row_offset[static_cast<std::size_t>(i % row)];
    const Value out = gone ? std::numeric_limits<Value>::quiet_NaN() : static_cast<Value>(value);
    std::memcpy(to + static_cast<std::size_t>(i) * sizeof(Value), &out, sizeof(Value));
  }
}

}  // namespace

ElementType Decoding::meant_type(ElementType stored) const {
  if (!is_unsigned) return stored;
  return *is_unsigned ? as_unsigned(stored) : as_signed(stored);
}

std::string Decoding::text() const {
  const char* const meant = !is_unsigned ? "" : *is_unsigned ? "u" : "i";
  return fmt::format("{}|{}|{}|{}|{}|{}|{}", factor, offset, text_of(missing), missing_is_nan, text_of(low), text_of(high), meant);
}

ElementType Decoding::value_type(ElementType stored) const {
  if (!changes()) return meant_type(stored);
  if (packed) return single && size_of(stored) <= (is_integer(stored) ? 2 : 4) ? ElementType::f32 : ElementType::f64;
  if (!is_integer(stored)) return stored;
  return size_of(stored) <= 2 ? ElementType::f32 : ElementType::f64;
}

Decoding netcdf_decoding(hid_t dataset, ElementType stored, const std::string& context) {
  Decoding d;
  if (is_integer(stored)) d.is_unsigned = truth_of(dataset, "_Unsigned", context);
  const ElementType meant = d.meant_type(stored);
  const Numbers factor = numbers(dataset, "scale_factor", 1, 1, context), offset = numbers(dataset, "add_offset", 1, 1, context);
  if (!factor.values.empty()) d.factor = factor.real(0), d.single = d.single && factor.single;
  if (!offset.values.empty()) d.offset = offset.real(0), d.single = d.single && offset.single;
  d.packed = d.factor != 1 || d.offset != 0;
  if (!std::isfinite(d.factor) || !std::isfinite(d.offset) || d.factor == 0)
    throw data_error("shard '{}': scale_factor {} and add_offset {} are not usable. Hint: data.netcdf = false reads the stored numbers without conversion",
                     context, d.factor, d.offset);
  for (const char* name : {"_FillValue", "missing_value"})
    for (const AttributeNumber& given : numbers(dataset, name, 1, 16, context).values) {
      if (const double* const real = std::get_if<double>(&given); real != nullptr && std::isnan(*real)) {
        d.missing_is_nan = d.missing_is_nan || !is_integer(stored);
        continue;
      }
      const AttributeNumber value = as_meant(given, stored, meant);
      const bool held = with_type(meant, [&]<class T>(T) { return can_be<T>(value); });
      if (held && std::ranges::find(d.missing, value) == d.missing.end()) d.missing.push_back(value);
    }
  const Numbers range = numbers(dataset, "valid_range", 2, 2, context), least = numbers(dataset, "valid_min", 1, 1, context),
                most = numbers(dataset, "valid_max", 1, 1, context);
  const auto bound = [&](std::vector<AttributeNumber>& bounds, const Numbers& from, std::size_t i) {
    if (i < from.values.size() && std::isfinite(from.real(i))) bounds.push_back(as_meant(from.values[i], stored, meant));
  };
  bound(d.low, range, 0), bound(d.high, range, 1), bound(d.low, least, 0), bound(d.high, most, 0);
  return d;
}

Moments moments_of(hid_t dataset, const std::string& context) {
  if (TRIREME_H5(H5Aexists(dataset, "standardized"), context) == 0) return {};
  constexpr std::size_t most = std::size_t{1} << 30;
  const auto reals = [&](const char* name) {
    const Numbers read = numbers(dataset, name, 1, most, context);
    std::vector<double> values(read.values.size());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = read.real(i);
    return values;
  };
  Moments found{reals("mean"), reals("deviation")};
  if (found.mean.size() != found.deviation.size() || std::ranges::any_of(found.deviation, [](double d) { return !(d > 0); }))
    throw data_error("shard '{}': the attributes mean and deviation do not match each other. Hint: create the shards again", context);
  return found;
}

void add_moments(Decoding& decoding, const Moments& from, const Moments& to, std::int64_t size, const std::string& context) {
  if (from == to) return;
  for (const Moments* moments : {&from, &to})
    if (!moments->mean.empty() && moments->mean.size() != static_cast<std::size_t>(size))
      throw data_error("shard '{}': rows have {} numbers; rows of the training data were standardized with {} means", context, size, moments->mean.size());
  for (std::size_t i = 0; i < static_cast<std::size_t>(size); ++i) {
    const double own_mean = from.mean.empty() ? 0 : from.mean[i], own_deviation = from.mean.empty() ? 1 : from.deviation[i];
    const double mean = to.mean.empty() ? 0 : to.mean[i], deviation = to.mean.empty() ? 1 : to.deviation[i];
    decoding.row_factor.push_back(own_deviation / deviation);
    decoding.row_offset.push_back((own_mean - mean) / deviation);
  }
}

void decode(const Decoding& decoding, ElementType stored, ElementType value, std::int64_t n, std::int64_t row, const std::byte* from, std::byte* to) {
  with_type(decoding.meant_type(stored), [&]<class Stored>(Stored) {
    if (value == ElementType::f32)
      decode_as<Stored, float>(decoding, n, row, from, to);
    else
      decode_as<Stored, double>(decoding, n, row, from, to);
  });
}

}  // namespace trireme::detail
