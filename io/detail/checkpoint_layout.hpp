// Layout of a checkpoint file, which rank 0 creates through HDF5: names, shapes, and a contiguous range for each array. All ranks then fill these
// ranges with plain writes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "io/checkpoint_file.hpp"
#include "io/detail/file_writing.hpp"
#include "io/h5.hpp"

namespace trireme::detail {

/// Created, used and destroyed on the thread that makes this rank's HDF5 calls.
class CheckpointLayout {
 public:
  /// Creates `partial`. Messages begin with `where`.
  CheckpointLayout(std::string where, const std::filesystem::path& partial);

  void write_content(const CheckpointContent& content, std::size_t arrays);
  /// Reserves space for the arrays; returns the offset of each array in the file.
  std::vector<std::int64_t> place(const std::vector<CheckpointArray>& arrays);
  /// Writes the checksums and closes the file.
  void finish(const std::vector<std::uint64_t>& checksums);

 private:
  template <class T>
  void attribute(hid_t object, const char* name, hid_t stored, T value) const;
  h5::Group group(const std::string& name) const;
  h5::Dataset data_set(const std::string& name, hid_t type, const h5::Space& space) const;
  h5::Type text_type(std::size_t size) const;

  std::string where_;
  WriteStatus status_;  // must outlive the file
  h5::File file_;
  std::vector<h5::Dataset> datasets_;
};

}  // namespace trireme::detail
