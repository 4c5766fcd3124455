// Initialization and finalization of MPI in this process. One object, created first and destroyed last; used by the program and the tests.
#pragma once

#include <mpi.h>

#include <exception>

#include "base/error.hpp"
#include "comm/launch.hpp"

namespace trireme {

/// Checks an MPI call: TRIREME_MPI(MPI_Barrier(comm)). On failure throws an internal error with the text of MPI.
#define TRIREME_MPI(call) ::trireme::detail::check_mpi((call), #call, __FILE__, __LINE__)

namespace detail {
void check_mpi(int code, const char* call, const char* file, int line);
}

/// Whether MPI accepts device memory: TRIREME_GPU_AWARE_MPI (0 or 1) if set, otherwise the library's own information. Not collective.
bool mpi_takes_device_memory();

class Environment {
 public:
  /// MPI_Init_thread(MULTIPLE). Collective over the job.
  Environment(int& argc, char**& argv);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }

  /// The object of this process; null before its construction and after its destruction.
  static Environment* current() { return current_; }

  /// Throws a usage error if a launcher started several tasks that MPI sees as separate jobs (launch.hpp). Not collective.
  void check_launch() const;

  /// Ends the job after an error on this rank. If all ranks fail (for example with a wrong deck), rank 0 prints the message and all ranks return the
  /// exit code for a regular exit. If only some fail, the first of them prints the message and aborts the job. The printed rank and host are those
  /// where the error occurred, also if all ranks throw it (SharedError). Takes one or two seconds. Not collective.
  int end_after_error(const std::exception& exception) noexcept;

 private:
  int rank_ = 0;
  int size_ = 1;
  static inline Environment* current_ = nullptr;
  Launch apart_;                         // tasks that MPI sees as separate jobs
  MPI_Comm abort_comm_ = MPI_COMM_NULL;  // used only by end_after_error
};

}  // namespace trireme
