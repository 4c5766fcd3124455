// Reads past the end of a file give zeros in HDF5, without an error: files are watched for being cut short while they are read.
#pragma once

#include <cstdint>
#include <string>

#include "io/h5.hpp"

namespace trireme::detail {

class FileEnd {
 public:
  /// Of the file that holds `object` (for an external link's target that is another one than it was reached through), as long as it was when it was opened.
  FileEnd(hid_t object, const std::string& context);
  /// A data error where the file is shorter now. `what` was read: "rows [0, 10) of data set '/x'".
  void check(const std::string& shard, const std::string& what) const;

 private:
  h5::File file_;
  std::string path_;
  int descriptor_ = -1;  // HDF5's own; -1: its driver has none, and the path must do
  std::int64_t bytes_ = 0;
};

}  // namespace trireme::detail
