// A folder of its own for a test, made on rank 0, known to all ranks of `comm`, removed at the end. Collective.
#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>

#include "comm/communicator.hpp"

namespace trireme::test {

class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const Communicator& comm = Communicator::world()) : comm_(comm.duplicate()) {
    static std::atomic<int> counter{0};
    std::string path;
    if (comm_.rank() == 0) {
      path = (std::filesystem::temp_directory_path() / ("trireme-test-" + std::to_string(getpid()) + "-" + std::to_string(counter++))).string();
      std::filesystem::create_directories(path);
    }
    path_ = comm_.broadcast(path);
  }
  ~TemporaryDirectory() {
    MPI_Barrier(comm_.handle());
    std::error_code ignored;
    if (comm_.rank() == 0) std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  Communicator comm_;
  std::filesystem::path path_;
};

}  // namespace trireme::test
