// A folder for the files of a measurement, gone when it is over.
#pragma once

#include <cstdint>
#include <filesystem>

#include "comm/communicator.hpp"

namespace trireme {

class BenchFolder {
 public:
  /// Makes a folder of a new name in `parent`, after a look at its free space. Usage errors. Collective.
  BenchFolder(const Communicator& comm, const std::filesystem::path& parent, std::int64_t bytes_needed);
  /// Rank 0 removes it.
  ~BenchFolder();
  BenchFolder(const BenchFolder&) = delete;
  BenchFolder& operator=(const BenchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  bool mine_ = false;
};

}  // namespace trireme
