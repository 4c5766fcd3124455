#include "comm/environment.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/printable.hpp"
#include "base/stop_signals.hpp"
#include "comm/rank_status.hpp"
#include "comm/shared_error.hpp"

#if __has_include(<mpi-ext.h>)
#include <mpi-ext.h>  // Open MPI's extensions
#endif

namespace trireme {

namespace detail {
void check_mpi(int code, const char* call, const char* file, int line) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw internal_error("{}:{}: {} failed: {}", file, line, call, text);
}
}  // namespace detail

bool mpi_takes_device_memory() {
  static const bool takes = [] {
    if (const char* told = std::getenv("TRIREME_GPU_AWARE_MPI")) return std::strcmp(told, "1") == 0;
#if defined(MPIX_CUDA_AWARE_SUPPORT) || (defined(MPICH_NUMVERSION) && MPICH_NUMVERSION >= 40000000)
    return MPIX_Query_cuda_support() == 1;
#else
    return false;
#endif
  }();
  return takes;
}

Environment::Environment(int& argc, char**& argv) {
  int provided = 0;
  stop_signals();  // looks at SIGHUP before MPI may change it
  TRIREME_MPI(MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided));
  restore_hangup();
  if (provided < MPI_THREAD_MULTIPLE)
    throw internal_error("this MPI library provides thread level {} only; Trireme's I/O thread needs MPI_THREAD_MULTIPLE ({})", provided, MPI_THREAD_MULTIPLE);
  TRIREME_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  TRIREME_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
  TRIREME_MPI(MPI_Comm_size(MPI_COMM_WORLD, &size_));
  TRIREME_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &abort_comm_));
  current_ = this;
  apart_ = launched_apart(size_);
}

void Environment::check_launch() const {
  if (!apart_.by.empty()) throw usage_error("{}", advice(apart_));
}

Environment::~Environment() {
  current_ = nullptr;
  if (abort_comm_ != MPI_COMM_NULL) MPI_Comm_free(&abort_comm_);
  MPI_Finalize();
}

int Environment::end_after_error(const std::exception& exception) noexcept {
  using namespace std::chrono_literals;
  const Error error = described(exception);
  const auto* const shared = dynamic_cast<const SharedError*>(&exception);
  const int code = static_cast<int>(error.code());
  const auto print = [&] {
    if (apart_.number > 0) return;  // another task reports it for all
    const std::string place = place_of_this_thread(), message = printable(error.what());
    // A usage error is the same on every host.
    const std::string host = error.code() == ExitCode::usage ? "" : fmt::format(" (host {})", shared != nullptr ? shared->host() : host_name());
    if (error.code() == ExitCode::requeue)
      std::fprintf(stderr, "trireme: %s\n", message.c_str());
    else if (size_ > 1)
      std::fprintf(stderr, "trireme: error on rank %d of %d%s%s%s: %s\n", shared != nullptr ? shared->rank() : rank_, size_, host.c_str(),
                   place.empty() ? "" : " in ", place.c_str(), message.c_str());
    else
      std::fprintf(stderr, "trireme: error: %s\n", message.c_str());
    std::fflush(stderr);
  };
  // If all ranks fail, all arrive here soon.
  MPI_Request request = MPI_REQUEST_NULL;
  int together = MPI_Ibarrier(abort_comm_, &request) == MPI_SUCCESS ? 0 : -1;
  const auto deadline = std::chrono::steady_clock::now() + 1s;
  while (together == 0 && std::chrono::steady_clock::now() < deadline) {
    if (MPI_Test(&request, &together, MPI_STATUS_IGNORE) != MPI_SUCCESS) together = -1;
    if (together == 0) std::this_thread::sleep_for(1ms);
  }
  if (together == 1) {
    if (rank_ == 0) print();
    return code;
  }
  // Only some ranks fail. They act in rank order: the first one notifies those after it, and aborts the job.
  const auto turn = std::chrono::steady_clock::now() + std::min(50ms * rank_, std::chrono::milliseconds(2000));
  int spoken = 0;
  while (spoken == 0 && std::chrono::steady_clock::now() < turn) {
    if (MPI_Iprobe(MPI_ANY_SOURCE, 0, abort_comm_, &spoken, MPI_STATUS_IGNORE) != MPI_SUCCESS) break;
    std::this_thread::sleep_for(1ms);
  }
  if (spoken != 0) {
    std::this_thread::sleep_for(5s);
  } else {
    for (int other = rank_ + 1; other < size_; ++other) {
      MPI_Request told = MPI_REQUEST_NULL;
      if (MPI_Isend(nullptr, 0, MPI_INT, other, 0, abort_comm_, &told) == MPI_SUCCESS) MPI_Request_free(&told);
    }
    print();
    // A launcher that is told to abort may not read the pipes of its ranks again: give it time to read the message first.
    std::this_thread::sleep_for(300ms);
  }
  MPI_Abort(MPI_COMM_WORLD, code);
  return code;
}

}  // namespace trireme
