// Decoding of stored numbers by the attributes of a file: packing and missing values of netCDF, and the moments that rows were standardized with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "io/shard.hpp"

namespace trireme::detail {

/// A number of an attribute. Integers stay integers: as doubles, 2^53 and 2^53 + 1 would be the same.
using AttributeNumber = std::variant<double, std::int64_t, std::uint64_t>;

struct Decoding {
  // netCDF (CF conventions, chapter 8.1 and 2.5.1): value = stored * factor + offset, unless the stored number is missing.
  bool packed = false, single = true;  // single: factor and offset are float32, and so are the values
  double factor = 1, offset = 0;
  std::vector<AttributeNumber> missing;    // as stored numbers
  bool missing_is_nan = false;             // NaN is declared as a missing value
  std::vector<AttributeNumber> low, high;  // bounds of the valid stored numbers, all of which hold
  std::optional<bool> is_unsigned;         // attribute _Unsigned: whether stored integers are unsigned, whatever their type is
  // Per number of a row: conversion from the moments of the file to other moments.
  std::vector<double> row_factor, row_offset;

  /// Whether stored numbers other than NaN can be missing.
  bool gaps() const { return !missing.empty() || !low.empty() || !high.empty(); }
  bool changes() const { return packed || gaps() || !row_factor.empty(); }
  /// What the stored numbers are: their type, but signed or unsigned as _Unsigned says.
  ElementType meant_type(ElementType stored) const;
  /// How stored numbers become values, as text: equal texts decode equally. Without the moments.
  std::string text() const;
  /// Type of the decoded values; the stored type if nothing changes, or if only float numbers can be missing.
  ElementType value_type(ElementType stored) const;
};

/// Reads the netCDF attributes of a data set. Data errors if they are not numbers, or have a wrong number of elements.
Decoding netcdf_decoding(hid_t dataset, ElementType stored, const std::string& context);
/// The moments in the attributes of a data set.
Moments moments_of(hid_t dataset, const std::string& context);
/// Adds the conversion of rows of `size` numbers from moments `from` to moments `to`. Data errors if either has another size.
void add_moments(Decoding& decoding, const Moments& from, const Moments& to, std::int64_t size, const std::string& context);

/// Decodes numbers; missing ones become NaN. `from` has n numbers: whole rows of `row` numbers each (parts of rows only without moments).
void decode(const Decoding& decoding, ElementType stored, ElementType value, std::int64_t n, std::int64_t row, const std::byte* from, std::byte* to);

}  // namespace trireme::detail
