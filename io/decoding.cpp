#include "io/detail/decoding.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "io/with_type.hpp"

namespace trireme::detail {

namespace {

struct Numbers {
  std::vector<double> values;
  bool single = false;  // float32
};

/// Up to `most` numbers of an attribute; none where it does not exist.
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
    throw data_error("shard '{}' holds {} element(s) of type {}; expected {} number(s), as netCDF's conventions have it. Hint: data.netcdf = false reads the "
                     "stored numbers as they are",
                     at, count, h5::type_text(type), least == most ? std::to_string(least) : fmt::format("{} to {}", least, most));
  found.values.resize(static_cast<std::size_t>(count));
  TRIREME_H5(H5Aread(attribute, H5T_NATIVE_DOUBLE, found.values.data()), at);
  found.single = kind == H5T_FLOAT && H5Tget_size(type) <= 4;
  return found;
}

bool says_true(hid_t dataset, const char* name, const std::string& context) {
  if (TRIREME_H5(H5Aexists(dataset, name), context) == 0) return false;
  const h5::Attribute attribute(TRIREME_H5(H5Aopen(dataset, name, H5P_DEFAULT), context));
  const h5::Type type(TRIREME_H5(H5Aget_type(attribute), context));
  const h5::Space space(TRIREME_H5(H5Aget_space(attribute), context));
  if (H5Tget_class(type) != H5T_STRING || H5Sget_simple_extent_npoints(space) != 1) return false;
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
  return text.starts_with("true") || text.starts_with("True");
}

ElementType as_unsigned(ElementType type) {
  switch (type) {
    case ElementType::i8: return ElementType::u8;
    case ElementType::i16: return ElementType::u16;
    case ElementType::i32: return ElementType::u32;
    case ElementType::i64: return ElementType::u64;
    default: return type;
  }
}

template <class Stored, class Value>
void decode_as(const Decoding& d, std::int64_t n, std::int64_t row, const std::byte* from, std::byte* to) {
  // Attributes are compared as the stored type has them: a fill value of 1e20 is another number in float32 than in double.
  std::vector<Stored> missing;
  for (const double value : d.missing) missing.push_back(static_cast<Stored>(value));
  const bool moments = !d.row_factor.empty(), in_range = d.low == -std::numeric_limits<double>::infinity() && d.high == std::numeric_limits<double>::infinity();
  const Stored first_missing = missing.empty() ? Stored{} : missing.front();
  for (std::int64_t i = 0; i < n; ++i) {
    Stored stored;
    std::memcpy(&stored, from + static_cast<std::size_t>(i) * sizeof(Stored), sizeof(Stored));
    double value = static_cast<double>(stored);
    bool gone = !missing.empty() && (stored == first_missing || (missing.size() > 1 && std::ranges::find(missing, stored) != missing.end()));
    if (!in_range) gone = gone || value < d.low || value > d.high;
    value = value * d.factor + d.offset;
    if (moments) value = value * d.row_factor[static_cast<std::size_t>(i % row)] + d.row_offset[static_cast<std::size_t>(i % row)];
    const Value out = gone ? std::numeric_limits<Value>::quiet_NaN() : static_cast<Value>(value);
    std::memcpy(to + static_cast<std::size_t>(i) * sizeof(Value), &out, sizeof(Value));
  }
}

}  // namespace

ElementType Decoding::value_type(ElementType stored) const {
  if (!changes()) return is_unsigned ? as_unsigned(stored) : stored;
  if (packed) return single && size_of(stored) <= (is_integer(stored) ? 2 : 4) ? ElementType::f32 : ElementType::f64;
  if (!is_integer(stored)) return stored;
  return size_of(stored) <= 2 ? ElementType::f32 : ElementType::f64;
}

Decoding netcdf_decoding(hid_t dataset, ElementType stored, const std::string& context) {
  Decoding d;
  d.is_unsigned = is_integer(stored) && as_unsigned(stored) != stored && says_true(dataset, "_Unsigned", context);
  const Numbers factor = numbers(dataset, "scale_factor", 1, 1, context), offset = numbers(dataset, "add_offset", 1, 1, context);
  if (!factor.values.empty()) d.factor = factor.values.front(), d.single = d.single && factor.single;
  if (!offset.values.empty()) d.offset = offset.values.front(), d.single = d.single && offset.single;
  d.packed = d.factor != 1 || d.offset != 0;
  if (!std::isfinite(d.factor) || !std::isfinite(d.offset) || d.factor == 0)
    throw data_error("shard '{}': scale_factor {} and add_offset {} make no numbers. Hint: data.netcdf = false reads the stored numbers as they are", context,
                     d.factor, d.offset);
  const double wrap = d.is_unsigned ? std::ldexp(1.0, static_cast<int>(8 * size_of(stored))) : 0;
  const auto as_stored = [&](double value) { return value < 0 ? value + wrap : value; };
  for (const char* name : {"_FillValue", "missing_value"})
    for (const double value : numbers(dataset, name, 1, 16, context).values) {
      if (std::isnan(value)) {
        d.missing_is_nan = d.missing_is_nan || !is_integer(stored);
        continue;
      }
      const bool held = with_type(d.is_unsigned ? as_unsigned(stored) : stored, [&]<class T>(T) {
        if constexpr (std::is_floating_point_v<T>) return true;
        const double v = as_stored(value);
        return v == std::floor(v) && v >= static_cast<double>(std::numeric_limits<T>::min()) && v < std::ldexp(1.0, std::numeric_limits<T>::digits);
      });
      if (held && std::ranges::find(d.missing, as_stored(value)) == d.missing.end()) d.missing.push_back(as_stored(value));
    }
  const Numbers range = numbers(dataset, "valid_range", 2, 2, context), least = numbers(dataset, "valid_min", 1, 1, context),
                most = numbers(dataset, "valid_max", 1, 1, context);
  if (!range.values.empty()) d.low = as_stored(range.values[0]), d.high = as_stored(range.values[1]);
  if (!least.values.empty()) d.low = std::max(d.low, as_stored(least.values.front()));
  if (!most.values.empty()) d.high = std::min(d.high, as_stored(most.values.front()));
  return d;
}

Moments moments_of(hid_t dataset, const std::string& context) {
  if (TRIREME_H5(H5Aexists(dataset, "standardized"), context) == 0) return {};
  constexpr std::size_t most = std::size_t{1} << 30;
  Moments found{numbers(dataset, "mean", 1, most, context).values, numbers(dataset, "deviation", 1, most, context).values};
  if (found.mean.size() != found.deviation.size() || std::ranges::any_of(found.deviation, [](double d) { return !(d > 0); }))
    throw data_error("shard '{}': the attributes mean and deviation do not belong together. Hint: make the shards again", context);
  return found;
}

void add_moments(Decoding& decoding, const Moments& from, const Moments& to, std::int64_t size, const std::string& context) {
  if (from == to) return;
  for (const Moments* moments : {&from, &to})
    if (!moments->mean.empty() && moments->mean.size() != static_cast<std::size_t>(size))
      throw data_error("shard '{}': rows have {} numbers; those of the training data were standardized by {} means", context, size, moments->mean.size());
  for (std::size_t i = 0; i < static_cast<std::size_t>(size); ++i) {
    const double own_mean = from.mean.empty() ? 0 : from.mean[i], own_deviation = from.mean.empty() ? 1 : from.deviation[i];
    const double mean = to.mean.empty() ? 0 : to.mean[i], deviation = to.mean.empty() ? 1 : to.deviation[i];
    decoding.row_factor.push_back(own_deviation / deviation);
    decoding.row_offset.push_back((own_mean - mean) / deviation);
  }
}

void decode(const Decoding& decoding, ElementType stored, ElementType value, std::int64_t n, std::int64_t row, const std::byte* from, std::byte* to) {
  with_type(decoding.is_unsigned ? as_unsigned(stored) : stored, [&]<class Stored>(Stored) {
    if (value == ElementType::f32)
      decode_as<Stored, float>(decoding, n, row, from, to);
    else
      decode_as<Stored, double>(decoding, n, row, from, to);
  });
}

}  // namespace trireme::detail
