// Attributes that hold one number or one text, read from files that anybody may have written: what does not have exactly the stated type and one element is
// an error, never memory that is written past its end.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "io/h5.hpp"

namespace trireme::h5 {

/// The one number of an attribute. T: std::int64_t, std::uint64_t or double; the file must hold that type in 64 bits (either byte order), and one element.
/// Throws a `code` error that begins with `context` and says what was found.
template <class T>
T number_attribute(hid_t object, const char* name, const std::string& context, ExitCode code);

/// The one text of an attribute: a string of fixed length, up to its first zero. At most `longest` bytes.
std::string text_attribute(hid_t object, const char* name, const std::string& context, ExitCode code, std::size_t longest = 4096);
/// The same; nothing where there is no such attribute, or another kind of it. Throws nothing.
std::optional<std::string> find_text_attribute(hid_t object, const char* name, std::size_t longest = 4096);

/// "int64, 3 elements", for messages.
std::string attribute_form(hid_t attribute);

}  // namespace trireme::h5
