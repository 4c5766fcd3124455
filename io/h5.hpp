// HDF5 behind move-only handles. Every call is checked where it stands, and the library's error stack goes into the message.
// Not thread-safe (nor is the library): one thread a rank makes all HDF5 calls at a time, see io_thread.hpp.
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

/// Owns an HDF5 identifier; `Close` is the function that gives it back.
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
  /// Closes now and reports a failure, where the destructor would not (closing a written file may fail: disk full).
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

/// Switches off HDF5's own printing of errors; called once by whoever uses the library first. Safe to repeat.
void quiet();
/// The error stack as one line, innermost last ("unable to open file: truncated file: eof = 100, ..."); clears the stack.
/// `number`: the errno that a driver met, 0 where none says so.
std::string error_stack(int* number = nullptr);

/// Checks a call: TRIREME_H5(H5Dread(...), "file.h5:/x"). Returns its value; throws `code` errors with the stack.
#define TRIREME_H5(call, context) ::trireme::h5::check((call), #call, (context), ::trireme::ExitCode::data)
#define TRIREME_H5_AS(code, call, context) ::trireme::h5::check((call), #call, (context), (code))

/// An IoError, with the errno where a driver met one.
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

template <class T> hid_t native_type() = delete;
template <> inline hid_t native_type<float>() { return H5T_NATIVE_FLOAT; }
template <> inline hid_t native_type<double>() { return H5T_NATIVE_DOUBLE; }
template <> inline hid_t native_type<std::uint8_t>() { return H5T_NATIVE_UINT8; }
template <> inline hid_t native_type<std::int32_t>() { return H5T_NATIVE_INT32; }
template <> inline hid_t native_type<std::int64_t>() { return H5T_NATIVE_INT64; }
template <> inline hid_t native_type<std::uint64_t>() { return H5T_NATIVE_UINT64; }

/// What a path names that is no file: "a FIFO", "a device"...
std::string kind_text(const std::filesystem::file_status& status);
/// The file that holds an open object, or is one, as it was opened.
std::string name_of_file(hid_t object);
/// Opens an existing file for reading, without taking file locks (many parallel file systems have none; Trireme never changes
/// a file that stands under its final name). Throws a `code` error "{what} '{path}' ..." that says whether the file is absent, empty,
/// not HDF5, cut short or damaged, not closed by its writer, locked, or one file too many for the process.
File open_file(const std::string& path, const std::string& what, ExitCode code);
/// Extents of an open data set.
std::vector<std::int64_t> extents(const Dataset& dataset, const std::string& context, ExitCode code = ExitCode::data);
/// Whether there is a link of this name, and groups on the way to it; what it leads to may be missing.
bool link_exists(hid_t group, const std::string& path);
/// Paths of data sets below `group`, relative to it, soft and external links to data sets followed, sorted. What cannot be opened is left out, and what a file
/// that is not what it should be has too much of: groups deeper than 32, names after the first 10,000.
std::vector<std::string> data_sets(hid_t group);
/// What a data set's type is, for people: "float32", "string", "compound"...
std::string type_text(hid_t type);

}  // namespace trireme::h5
