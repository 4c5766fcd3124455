#include "io/h5_attributes.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace trireme::h5 {

namespace {

/// Number of elements of an attribute; 0 if it is empty or HDF5 cannot tell.
std::int64_t elements_of(hid_t attribute) {
  const Space space(H5Aget_space(attribute));
  return space ? static_cast<std::int64_t>(H5Sget_simple_extent_npoints(space)) : 0;
}

bool is_fixed_text(const Type& type) { return H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0; }

template <class T>
bool has_type(const Type& type) {
  if (H5Tget_size(type) != sizeof(T)) return false;
  if constexpr (std::is_floating_point_v<T>) return H5Tget_class(type) == H5T_FLOAT;
  return H5Tget_class(type) == H5T_INTEGER && H5Tget_sign(type) == (std::is_signed_v<T> ? H5T_SGN_2 : H5T_SGN_NONE);
}

std::string as_text(std::string bytes) {
  bytes.resize(std::min(bytes.find('\0'), bytes.size()));
  return bytes;
}

}  // namespace

std::string attribute_form(hid_t attribute) {
  const Type type(H5Aget_type(attribute));
  const std::int64_t elements = elements_of(attribute);
  const std::string kind = H5Tis_variable_str(type) > 0 ? "string of variable length" : type_text(type);
  return fmt::format("{}, {} element{}", kind, elements, elements == 1 ? "" : "s");
}

template <class T>
T number_attribute(hid_t object, const char* name, const std::string& context, ExitCode code) {
  const Attribute attribute(TRIREME_H5_AS(code, H5Aopen(object, name, H5P_DEFAULT), context + ", attribute '" + name + "'"));
  const Type type(TRIREME_H5_AS(code, H5Aget_type(attribute), context));
  if (!has_type<T>(type) || elements_of(attribute) != 1)
    throw fail(code, "{}: attribute '{}' must be one {}64; found {}", context, name,
               std::is_floating_point_v<T> ? "float"
               : std::is_signed_v<T>       ? "int"
                                           : "uint",
               attribute_form(attribute));
  T value{};
  TRIREME_H5_AS(code, H5Aread(attribute, native_type<T>(), &value), context);
  return value;
}

template std::int64_t number_attribute<std::int64_t>(hid_t, const char*, const std::string&, ExitCode);
template std::uint64_t number_attribute<std::uint64_t>(hid_t, const char*, const std::string&, ExitCode);
template double number_attribute<double>(hid_t, const char*, const std::string&, ExitCode);

std::string text_attribute(hid_t object, const char* name, const std::string& context, ExitCode code, std::size_t longest) {
  const Attribute attribute(TRIREME_H5_AS(code, H5Aopen(object, name, H5P_DEFAULT), context + ", attribute '" + name + "'"));
  const Type type(TRIREME_H5_AS(code, H5Aget_type(attribute), context));
  if (!is_fixed_text(type) || elements_of(attribute) != 1)
    throw fail(code, "{}: attribute '{}' must be one string of fixed length; found {}", context, name, attribute_form(attribute));
  if (H5Tget_size(type) > longest) throw fail(code, "{}: attribute '{}' is a string of {} bytes; the limit is {}", context, name, H5Tget_size(type), longest);
  std::string bytes(H5Tget_size(type), '\0');
  TRIREME_H5_AS(code, H5Aread(attribute, type, bytes.data()), context);
  return as_text(std::move(bytes));
}

std::optional<std::string> find_text_attribute(hid_t object, const char* name, std::size_t longest) {
  if (H5Aexists(object, name) <= 0) return std::nullopt;
  try {
    return text_attribute(object, name, "", ExitCode::data, longest);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace trireme::h5
