// The ranks that write one file, and how they agree. io/ stands below comm/ and has no Communicator; and these waits sleep: they happen beside
// a training that wants the cores.
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
  /// `abandoned`, where given, ends every wait with an error once it is true: other ranks may never come.
  explicit Writers(MPI_Comm comm, const std::atomic<bool>* abandoned = nullptr);

  int rank() const { return rank_; }
  int size() const { return size_; }

  // Collective.
  /// Runs `action` on every rank; if it throws on any, all throw an IoError with the words, exit code and errno of the lowest such rank.
  void together(const std::function<void()>& action) const;
  void broadcast(std::span<std::int64_t> values) const;  // of rank 0
  void sum(std::span<std::uint64_t> values) const;

 private:
  void wait(MPI_Request request) const;

  MPI_Comm comm_;
  const std::atomic<bool>* abandoned_;
  int rank_ = 0, size_ = 1;
};

}  // namespace trireme::detail
