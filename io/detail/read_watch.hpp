// Checks after each read that the files that it came from are still complete: HDF5 replaces lost data by fill values, without an error.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/detail/file_end.hpp"
#include "io/detail/other_files.hpp"
#include "io/detail/virtual_sources.hpp"
#include "io/shard.hpp"

namespace trireme::detail {

class ReadWatch {
 public:
  /// Watches an open data set that passed check_storage(); it must stay open.
  ReadWatch(const h5::Dataset& dataset, const std::string& shard, const std::string& name, const ShardNames& rules);
  /// Call it after these rows were read. Throws a data error if some of them may not come from the file.
  void check(std::int64_t first, std::int64_t count);

 private:
  /// A source of a virtual data set.
  struct Source {
    VirtualSource named;
    bool held = false;           // HDF5 has it open, and so does this object
    std::vector<FileEnd> files;  // its file, and those of its own sources
  };
  /// Opens a source as HDF5 did for the read; false if it may be missing and is missing.
  bool open(const VirtualSource& source, const h5::Dataset& of, std::vector<FileEnd>& files) const;

  const h5::Dataset& dataset_;
  std::string shard_, name_;
  bool allow_unwritten_;
  FileEnd end_;
  std::vector<RawFile> raw_;
  std::vector<Source> sources_;
};

}  // namespace trireme::detail
