// Which of our element types holds the elements of a data set.
#pragma once

#include <optional>

#include "io/shard.hpp"

namespace trireme::detail {

/// Integers keep sign and width (odd widths are rounded up), floats become f32 or f64, booleans and small enumerations
/// u8. Nothing when the type is not a number or is wider than 64 bits (but long double becomes f64).
std::optional<ElementType> element_type(hid_t type);

/// The type to read elements of `file_type` with, so that HDF5 brings them to `element`.
h5::Type reading_type(hid_t file_type, ElementType element, const std::string& context);

}  // namespace trireme::detail
