// Conversion of HDF5 types to element types.
#pragma once

#include <optional>

#include "io/shard.hpp"

namespace trireme::detail {

/// Integers keep sign and width (odd widths are rounded up), floats become f32 or f64, booleans and small enumerations u8. Empty if the type is not a
/// number, or is wider than 64 bits (except long double, which becomes f64).
std::optional<ElementType> element_type(hid_t type);

/// The memory type for reading elements of `file_type`, so that HDF5 converts them to `element`.
h5::Type reading_type(hid_t file_type, ElementType element, const std::string& context);

}  // namespace trireme::detail
