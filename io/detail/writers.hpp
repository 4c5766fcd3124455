// Communication between the ranks that write one file. io/ is a layer below comm/ and has no Communicator. Waits sleep, because they run concurrently
// with a training that needs the cores.
#pragma once

#include <mpi.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace trireme::detail {

class Writers {
 public:
  /// If `abandoned` is given and becomes true, every wait throws an error, because other ranks may never arrive.
  explicit Writers(MPI_Comm comm, const std::atomic<bool>* abandoned = nullptr);

  int rank() const { return rank_; }
  int size() const { return size_; }

  // Collective.
  /// Runs `action` on every rank; if it throws on any rank, all ranks throw an IoError with message, exit code and errno of the lowest such rank.
  void together(const std::function<void()>& action) const;
  void broadcast(std::span<std::int64_t> values) const;  // from rank 0
  void sum(std::span<std::uint64_t> values) const;

 private:
  void wait(MPI_Request request) const;

  MPI_Comm comm_;
  const std::atomic<bool>* abandoned_;
  int rank_ = 0, size_ = 1;
};

}  // namespace trireme::detail
