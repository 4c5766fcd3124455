// Detects files that are truncated while they are read: HDF5 returns zeros beyond the end of a file, without an error.
#pragma once

#include <cstdint>
#include <string>

#include "io/h5.hpp"

namespace trireme::detail {

class FileEnd {
 public:
  /// Watches the file that holds `object` (for the target of an external link, the linked file), with the size that it had when it was opened.
  FileEnd(hid_t object, const std::string& context);
  /// Throws a data error if the file is now shorter. `what` was read: "rows [0, 10) of data set '/x'".
  void check(const std::string& shard, const std::string& what) const;

 private:
  h5::File file_;
  std::string path_;
  int descriptor_ = -1;  // descriptor of HDF5; -1: its driver has none, so the path is used
  std::int64_t bytes_ = 0;
};

}  // namespace trireme::detail
