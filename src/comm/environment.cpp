#include "comm/environment.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

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

Environment::Environment(int& argc, char**& argv) {
  int provided = 0;
  TRIREME_MPI(MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided));
  if (provided < MPI_THREAD_MULTIPLE)
    throw internal_error("this MPI library gives thread level {} only; Trireme's I/O thread needs MPI_THREAD_MULTIPLE ({})",
                         provided, MPI_THREAD_MULTIPLE);
  TRIREME_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  TRIREME_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
  TRIREME_MPI(MPI_Comm_size(MPI_COMM_WORLD, &size_));
  TRIREME_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &last_words_));
}

Environment::~Environment() {
  if (last_words_ != MPI_COMM_NULL) MPI_Comm_free(&last_words_);
  MPI_Finalize();
}

int Environment::end_after_error(const Error& error) noexcept {
  using namespace std::chrono_literals;
  const int code = static_cast<int>(error.code());
  const auto print = [&] {
    if (size_ > 1)
      std::fprintf(stderr, "trireme: error on rank %d of %d: %s\n", rank_, size_, error.what());
    else
      std::fprintf(stderr, "trireme: error: %s\n", error.what());
    std::fflush(stderr);
  };
  // Does everybody fail? Then all meet here soon.
  MPI_Request request = MPI_REQUEST_NULL;
  int together = MPI_Ibarrier(last_words_, &request) == MPI_SUCCESS ? 0 : -1;
  const auto deadline = std::chrono::steady_clock::now() + 1s;
  while (together == 0 && std::chrono::steady_clock::now() < deadline) {
    if (MPI_Test(&request, &together, MPI_STATUS_IGNORE) != MPI_SUCCESS) together = -1;
    if (together == 0) std::this_thread::sleep_for(1ms);
  }
  if (together == 1) {
    if (rank_ == 0) print();
    return code;
  }
  // Only some fail: the first to speak takes the job down, and with it those that wait for their turn.
  std::this_thread::sleep_for(std::min(50ms * rank_, std::chrono::milliseconds(2000)));
  print();
  MPI_Abort(MPI_COMM_WORLD, code);
  return code;
}

}  // namespace trireme
