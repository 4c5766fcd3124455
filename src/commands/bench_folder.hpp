// A temporary folder for the files of a benchmark.
#pragma once

#include <cstdint>
#include <filesystem>

#include "comm/communicator.hpp"

namespace trireme {

class BenchFolder {
 public:
  /// Creates a folder with a new name in `parent` after checking the free space. Throws usage errors. Collective.
  BenchFolder(const Communicator& comm, const std::filesystem::path& parent, std::int64_t bytes_needed);
  /// Rank 0 removes the folder.
  ~BenchFolder();
  BenchFolder(const BenchFolder&) = delete;
  BenchFolder& operator=(const BenchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  bool mine_ = false;
};

}  // namespace trireme
