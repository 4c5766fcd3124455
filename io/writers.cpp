#include "io/detail/writers.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/error.hpp"

namespace trireme::detail {

Writers::Writers(MPI_Comm comm, const std::atomic<bool>* abandoned) : comm_(comm), abandoned_(abandoned) {
  MPI_Comm_rank(comm, &rank_);
  MPI_Comm_size(comm, &size_);
}

void Writers::wait(MPI_Request request) const {
  using std::chrono::microseconds;
  microseconds pause(0);
  while (true) {
    int done = 0;
    if (MPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) throw checkpoint_error("MPI failed while ranks wrote a checkpoint together");
    if (done != 0) return;
    if (abandoned_ != nullptr && *abandoned_) throw checkpoint_error("a checkpoint was given up: the run ends");
    std::this_thread::sleep_for(pause);
    pause = std::min(pause + microseconds(10), microseconds(1000));
  }
}

void Writers::together(const std::function<void()>& action) const {
  std::string message;
  int failed = size_, number = 0;
  ExitCode code = ExitCode::checkpoint;
  try {
    action();
  } catch (const IoError& error) {
    message = error.what();
    number = error.number();
    failed = rank_;
  } catch (const Error& error) {
    message = error.what();
    code = error.code();
    failed = rank_;
  } catch (const std::exception& error) {
    message = error.what();
    failed = rank_;
  }
  int first = size_;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Iallreduce(&failed, &first, 1, MPI_INT, MPI_MIN, comm_, &request);
  wait(request);
  if (first == size_) return;
  std::int64_t about[] = {static_cast<std::int64_t>(message.size()), number, static_cast<int>(code)};
  MPI_Ibcast(about, 3, MPI_INT64_T, first, comm_, &request);
  wait(request);
  message.resize(static_cast<std::size_t>(about[0]));
  MPI_Ibcast(message.data(), static_cast<int>(about[0]), MPI_CHAR, first, comm_, &request);
  wait(request);
  throw IoError(static_cast<ExitCode>(about[2]), message, static_cast<int>(about[1]));
}

void Writers::broadcast(std::span<std::int64_t> values) const {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibcast(values.data(), static_cast<int>(values.size()), MPI_INT64_T, 0, comm_, &request);
  wait(request);
}

void Writers::sum(std::span<std::uint64_t> values) const {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Iallreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_UINT64_T, MPI_SUM, comm_, &request);
  wait(request);
}

}  // namespace trireme::detail
