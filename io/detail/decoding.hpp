// What a file's attributes make of the numbers that it stores: netCDF's packing and missing values, and the moments that rows were standardized by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "io/shard.hpp"

namespace trireme::detail {

struct Decoding {
  // netCDF (CF conventions, chapter 8.1 and 2.5.1): value = stored * factor + offset, unless the stored number is missing.
  bool packed = false, single = true;  // single: both are float32, and so are the values then
  double factor = 1, offset = 0;
  std::vector<double> missing;         // stored numbers
  bool missing_is_nan = false;         // NaN is declared to be a missing value
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();  // of stored numbers
  bool is_unsigned = false;            // signed integers that stand for unsigned ones
  // Of each number of a row: what brings it from its file's moments to others.
  std::vector<double> row_factor, row_offset;

  /// Whether stored numbers that are no NaN are missing.
  bool gaps() const { return !missing.empty() || low > -std::numeric_limits<double>::infinity() || high < std::numeric_limits<double>::infinity(); }
  bool changes() const { return packed || gaps() || !row_factor.empty(); }
  /// The type of the values: as stored where only float numbers are missing.
  ElementType value_type(ElementType stored) const;
};

/// Reads netCDF's attributes of a data set. Data errors where they are no numbers, or not as many as they must be.
Decoding netcdf_decoding(hid_t dataset, ElementType stored, const std::string& context);
/// The moments in a data set's attributes.
Moments moments_of(hid_t dataset, const std::string& context);
/// Adds what brings rows of `size` numbers from moments `from` to moments `to`. Data errors where either is of other rows.
void add_moments(Decoding& decoding, const Moments& from, const Moments& to, std::int64_t size, const std::string& context);

/// Missing numbers become NaN. `from` has n numbers of whole rows of `row` numbers each (or parts of rows where there are no moments).
void decode(const Decoding& decoding, ElementType stored, ElementType value, std::int64_t n, std::int64_t row, const std::byte* from, std::byte* to);

}  // namespace trireme::detail
