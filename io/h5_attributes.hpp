// Attributes that hold one number or one text, from untrusted files: an attribute without exactly the expected type and one element is an error,
// never a write beyond a buffer.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "io/h5.hpp"

namespace trireme::h5 {

/// Reads the number in an attribute. T: std::int64_t, std::uint64_t or double; the file must hold this type with 64 bits (either byte order), and one
/// element. Throws a `code` error that begins with `context` and says what was found.
template <class T>
T number_attribute(hid_t object, const char* name, const std::string& context, ExitCode code);

/// Reads the text in an attribute: a string of fixed length, up to its first zero byte. At most `longest` bytes.
std::string text_attribute(hid_t object, const char* name, const std::string& context, ExitCode code, std::size_t longest = 4096);
/// The same; empty if there is no such attribute, or if it has another type. Does not throw.
std::optional<std::string> find_text_attribute(hid_t object, const char* name, std::size_t longest = 4096);

/// "int64, 3 elements", for messages.
std::string attribute_form(hid_t attribute);

}  // namespace trireme::h5
