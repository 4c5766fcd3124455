// The life of MPI in this process. One object, made first and destroyed last; shared by the program and the tests.
#pragma once

#include <mpi.h>

#include <exception>

#include "base/error.hpp"
#include "comm/launch.hpp"

namespace trireme {

/// Checks a call to MPI where it stands: TRIREME_MPI(MPI_Barrier(comm)). Throws an internal error with MPI's own words.
#define TRIREME_MPI(call) ::trireme::detail::check_mpi((call), #call, __FILE__, __LINE__)

namespace detail {
void check_mpi(int code, const char* call, const char* file, int line);
}

/// Whether MPI may be given a device's memory: TRIREME_GPU_AWARE_MPI (0 or 1) where it is set, else what the library says of itself. Not collective.
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

  /// The one of this process; null before and after.
  static Environment* current() { return current_; }

  /// A usage error where a launcher started several tasks that MPI does not know of each other (launch.hpp). Not collective.
  void check_launch() const;

  /// Ends the job after an error on this rank. When every rank fails (a wrong deck) rank 0 prints the message and all
  /// ranks return the exit code for an orderly end; when only some do, the first of them prints and aborts the job.
  /// Rank and host are those where the error was met, also where all ranks heard of it (SharedError). Takes a second or two. Not collective.
  int end_after_error(const std::exception& exception) noexcept;

 private:
  int rank_ = 0;
  int size_ = 1;
  static inline Environment* current_ = nullptr;
  Launch apart_;                         // others that MPI does not know of
  MPI_Comm last_words_ = MPI_COMM_NULL;  // for end_after_error alone
};

}  // namespace trireme
