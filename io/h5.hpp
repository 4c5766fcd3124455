// Move-only handles for HDF5. Every call is checked, and errors contain the library's error stack. Not thread-safe, like the library: one thread per
// rank at a time makes all HDF5 calls, see io_thread.hpp.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/shape.hpp"

namespace trireme::h5 {

/// Owns an HDF5 identifier; `Close` releases it.
template <herr_t (*Close)(hid_t)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(hid_t id) : id_(id) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) Close(id_);
  }
  operator hid_t() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }
  /// Closes now and reports a failure, which the destructor would not (closing a written file can fail: disk full).
  void close(const std::string& context);

 private:
  hid_t id_ = H5I_INVALID_HID;
};

using File = Handle<H5Fclose>;
using Group = Handle<H5Gclose>;
using Dataset = Handle<H5Dclose>;
using Space = Handle<H5Sclose>;
using Type = Handle<H5Tclose>;
using Attribute = Handle<H5Aclose>;
using Properties = Handle<H5Pclose>;

/// Turns off HDF5's own printing of errors. Call it before the first use of the library; repeated calls are safe.
void quiet();
/// The error stack as one line, innermost error last ("unable to open file: truncated file: eof = 100, ..."); clears the stack. `number`: errno of a
/// driver, 0 if unknown.
std::string error_stack(int* number = nullptr);

/// Checks a call: TRIREME_H5(H5Dread(...), "file.h5:/x"). Returns its value, or throws a `code` error with the stack.
#define TRIREME_H5(call, context) ::trireme::h5::check((call), #call, (context), ::trireme::ExitCode::data)
#define TRIREME_H5_AS(code, call, context) ::trireme::h5::check((call), #call, (context), (code))

/// Throws an IoError, with the errno of a driver if there is one.
[[noreturn]] void throw_failure(const char* call, const std::string& context, ExitCode code);

template <class Value>
Value check(Value value, const char* call, const std::string& context, ExitCode code) {
  if (value < 0) throw_failure(call, context, code);
  return value;
}

template <herr_t (*Close)(hid_t)>
void Handle<Close>::close(const std::string& context) {
  if (id_ < 0) return;
  const hid_t id = std::exchange(id_, H5I_INVALID_HID);
  if (Close(id) < 0) throw_failure("closing", context, ExitCode::data);
}

template <class T>
hid_t native_type() = delete;
template <>
inline hid_t native_type<float>() {
  return H5T_NATIVE_FLOAT;
}
template <>
inline hid_t native_type<double>() {
  return H5T_NATIVE_DOUBLE;
}
template <>
inline hid_t native_type<std::uint8_t>() {
  return H5T_NATIVE_UINT8;
}
template <>
inline hid_t native_type<std::int32_t>() {
  return H5T_NATIVE_INT32;
}
template <>
inline hid_t native_type<std::int64_t>() {
  return H5T_NATIVE_INT64;
}
template <>
inline hid_t native_type<std::uint64_t>() {
  return H5T_NATIVE_UINT64;
}

/// Kind of a path that is not a file: "a FIFO", "a device"...
std::string kind_text(const std::filesystem::file_status& status);
/// Name under which the file of an open object was opened.
std::string name_of_file(hid_t object);
/// Opens an existing file for reading without file locks (many parallel file systems have none, and Trireme never changes a file with its final
/// name). Throws a `code` error "{what} '{path}' ..." that says whether the file is missing, empty, not HDF5, truncated or damaged, not closed by its
/// writer, or locked, or whether the process has too many open files.
File open_file(const std::string& path, const std::string& what, ExitCode code);
/// Extents of an open data set.
std::vector<std::int64_t> extents(const Dataset& dataset, const std::string& context, ExitCode code = ExitCode::data);
/// Whether a link with this name, and all groups on its path, exist; its target may be missing. Throws an IoError only for errors that may be temporary.
bool link_exists(hid_t group, const std::string& path);
/// Paths of the data sets below `group`, relative to it, sorted; soft and external links to data sets are followed. Objects that cannot be opened are
/// omitted. As a protection against damaged files, groups deeper than 32 and names after the first 10,000 are omitted, too.
std::vector<std::string> data_sets(hid_t group);
/// The same for at most `most` names, with what was omitted.
struct DatasetList {
  std::vector<std::string> data_sets, unreadable;  // unreadable: objects that cannot be opened
  bool whole;                                      // there are no more than `most` names
};
DatasetList list_data_sets(hid_t group, std::size_t most);
/// Type of a data set, for messages: "float32", "string", "compound"...
std::string type_text(hid_t type);

}  // namespace trireme::h5
