// Looks after each read whether the files that it came from are still whole: HDF5 reads what is gone as fill values, without an error.
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
  /// Of an open data set that check_storage() has found whole; it must stay open.
  ReadWatch(const h5::Dataset& dataset, const std::string& shard, const std::string& name, const ShardNames& rules);
  /// To be called after these rows were read. A data error where some of them may not have come from the file.
  void check(std::int64_t first, std::int64_t count);

 private:
  /// A source of a virtual data set.
  struct Source {
    VirtualSource named;
    bool held = false;           // HDF5 has it open, and so have we
    std::vector<FileEnd> files;  // it, and its own sources
  };
  /// Opens a source as HDF5 has done for the read; false where it may be missing and is.
  bool open(const VirtualSource& source, const h5::Dataset& of, std::vector<FileEnd>& files) const;

  const h5::Dataset& dataset_;
  std::string shard_, name_;
  bool allow_unwritten_;
  FileEnd end_;
  std::vector<RawFile> raw_;
  std::vector<Source> sources_;
};

}  // namespace trireme::detail
