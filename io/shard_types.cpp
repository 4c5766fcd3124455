// Element types: sizes, numpy's names, and the conversion from HDF5 types.
#include "io/detail/shard_types.hpp"

#include <array>
#include <utility>

namespace trireme {

namespace {

struct Traits {
  std::string_view name;
  std::size_t size;
  bool integer;
};

// In the order of ElementType.
constexpr std::array<Traits, 10> traits{{{"uint8", 1, true},
                                         {"int8", 1, true},
                                         {"uint16", 2, true},
                                         {"int16", 2, true},
                                         {"uint32", 4, true},
                                         {"int32", 4, true},
                                         {"uint64", 8, true},
                                         {"int64", 8, true},
                                         {"float32", 4, false},
                                         {"float64", 8, false}}};

const Traits& of(ElementType type) { return traits[static_cast<std::size_t>(type)]; }

std::optional<ElementType> integer_type(std::size_t size, bool is_signed) {
  using enum ElementType;
  if (size <= 1) return is_signed ? i8 : u8;
  if (size <= 2) return is_signed ? i16 : u16;
  if (size <= 4) return is_signed ? i32 : u32;
  if (size <= 8) return is_signed ? i64 : u64;
  return std::nullopt;
}

/// A damaged header may describe a float without exponent or mantissa, or with another bias; HDF5 reads it without an error, but as other numbers.
/// Valid types are IEEE 754's formats (half, single, double), bfloat16, and the long double of x86 and POWER: the bias is 2^(bits - 1) - 1, and the
/// first bit of the mantissa is implied except on x86.
bool is_sound_float(hid_t type, std::size_t size) {
  std::size_t sign = 0, exponent = 0, exponent_bits = 0, mantissa = 0, mantissa_bits = 0;
  if (H5Tget_fields(type, &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits) < 0 || exponent_bits == 0 || exponent_bits > 15 || mantissa_bits == 0)
    return false;
  const H5T_norm_t norm = H5Tget_norm(type);
  const bool first_bit = norm == H5T_NORM_IMPLIED || (norm != H5T_NORM_ERROR && size > 8);
  return first_bit && H5Tget_precision(type) > exponent_bits + mantissa_bits && H5Tget_precision(type) <= 8 * size &&
         H5Tget_ebias(type) == (std::size_t{1} << (exponent_bits - 1)) - 1;
}

}  // namespace

std::size_t size_of(ElementType type) { return of(type).size; }
std::string_view name_of(ElementType type) { return of(type).name; }
bool is_integer(ElementType type) { return of(type).integer; }

hid_t memory_type(ElementType type) {
  switch (type) {
    case ElementType::u8:
      return H5T_NATIVE_UINT8;
    case ElementType::i8:
      return H5T_NATIVE_INT8;
    case ElementType::u16:
      return H5T_NATIVE_UINT16;
    case ElementType::i16:
      return H5T_NATIVE_INT16;
    case ElementType::u32:
      return H5T_NATIVE_UINT32;
    case ElementType::i32:
      return H5T_NATIVE_INT32;
    case ElementType::u64:
      return H5T_NATIVE_UINT64;
    case ElementType::i64:
      return H5T_NATIVE_INT64;
    case ElementType::f32:
      return H5T_NATIVE_FLOAT;
    case ElementType::f64:
      return H5T_NATIVE_DOUBLE;
  }
  return H5I_INVALID_HID;
}

namespace detail {

std::optional<ElementType> element_type(hid_t type) {
  const std::size_t size = H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return integer_type(size, H5Tget_sign(type) == H5T_SGN_2);
    case H5T_FLOAT:
      if (!is_sound_float(type, size)) return std::nullopt;
      return size <= 4 ? ElementType::f32 : ElementType::f64;
    case H5T_BITFIELD:
      return integer_type(size, false);
    case H5T_ENUM: {
      if (size == 1) return ElementType::u8;
      const h5::Type base(H5Tget_super(type));
      return integer_type(size, H5Tget_sign(base) == H5T_SGN_2);
    }
    default:
      return std::nullopt;
  }
}

h5::Type reading_type(hid_t file_type, ElementType element, const std::string& context) {
  // HDF5 does not convert bit fields to other types: they are read as native bit fields, which have the same bytes.
  if (H5Tget_class(file_type) == H5T_BITFIELD) return h5::Type(TRIREME_H5(H5Tget_native_type(file_type, H5T_DIR_DEFAULT), context));
  return h5::Type(TRIREME_H5(H5Tcopy(memory_type(element)), context));
}

}  // namespace detail

}  // namespace trireme
