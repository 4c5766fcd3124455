// A checkpoint's file as rank 0 lays it out through HDF5: names, shapes, and a contiguous place for each array, which all ranks then fill with plain writes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "io/checkpoint_file.hpp"
#include "io/detail/file_writing.hpp"
#include "io/h5.hpp"

namespace trireme::detail {

/// Made, used and destroyed on the thread that makes this rank's HDF5 calls.
class CheckpointLayout {
 public:
  /// Creates `partial`. `where` begins every message.
  CheckpointLayout(std::string where, const std::filesystem::path& partial);

  void write_content(const CheckpointContent& content, std::size_t arrays);
  /// Makes room for the arrays; returns where in the file each begins.
  std::vector<std::int64_t> place(const std::vector<CheckpointArray>& arrays);
  /// Puts the checksums in and closes the file.
  void finish(const std::vector<std::uint64_t>& checksums);

 private:
  template <class T>
  void attribute(hid_t object, const char* name, hid_t stored, T value) const;
  h5::Group group(const std::string& name) const;
  h5::Dataset data_set(const std::string& name, hid_t type, const h5::Space& space) const;
  h5::Type text_type(std::size_t size) const;

  std::string where_;
  WriteStatus status_;  // outlives the file
  h5::File file_;
  std::vector<h5::Dataset> datasets_;
};

}  // namespace trireme::detail
