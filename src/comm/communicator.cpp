#include "comm/communicator.hpp"

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "comm/shared_error.hpp"

namespace trireme {

Request::Request(MPI_Request request, const char* operation, MPI_Comm comm, Meter* meter, bool comes)
    : request_(request), operation_(operation), comm_(comm), meter_(meter), comes_(comes) {
  if (meter_ != nullptr && comes_) meter_->begin();
}

Request& Request::operator=(Request&& other) noexcept {
  std::swap(request_, other.request_);
  std::swap(operation_, other.operation_);
  std::swap(comm_, other.comm_);
  std::swap(meter_, other.meter_);
  std::swap(comes_, other.comes_);
  return *this;
}

void Request::complete() {
  if (meter_ != nullptr && comes_) meter_->end();
  meter_ = nullptr;
}

Request::~Request() {
  if (request_ != MPI_REQUEST_NULL && MPI_Wait(&request_, MPI_STATUS_IGNORE) != MPI_SUCCESS)
    std::fputs("trireme: a pending MPI operation failed while its request was destroyed\n", stderr);
}

bool Request::done() {
  int flag = 1;
  if (request_ == MPI_REQUEST_NULL) return true;
  TRIREME_MPI(MPI_Test(&request_, &flag, MPI_STATUS_IGNORE));
  if (flag != 0) complete();
  return flag != 0;
}

void Request::wait() {
  if (request_ == MPI_REQUEST_NULL) return;
  const WaitScope now(operation_, comm_);
  const Timer timer;
  TRIREME_MPI(MPI_Wait(&request_, MPI_STATUS_IGNORE));
  if (meter_ != nullptr) meter_->waited(timer.seconds());
  complete();
}

Communicator::Communicator(MPI_Comm comm) {
  TRIREME_MPI(MPI_Comm_dup(comm, &comm_));
  TRIREME_MPI(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN));
  TRIREME_MPI(MPI_Comm_rank(comm_, &rank_));
  TRIREME_MPI(MPI_Comm_size(comm_, &size_));
}

Communicator Communicator::split(int color, int key) const {
  MPI_Comm part = MPI_COMM_NULL;
  TRIREME_MPI(MPI_Comm_split(comm_, color, key, &part));
  Communicator group(part);
  MPI_Comm_free(&part);
  return group;
}

Communicator Communicator::split_by_node() const {
  if (const char* told = std::getenv("TRIREME_RANKS_PER_NODE"); told != nullptr && *told != '\0') {
    char* end = nullptr;
    const long ranks = std::strtol(told, &end, 10);
    if (*end != '\0' || ranks < 0 || ranks > INT_MAX)
      throw usage_error("TRIREME_RANKS_PER_NODE = '{}' is not a number of ranks. Hint: set a number from 1 on, or unset it to use the nodes that MPI reports",
                        told);
    if (ranks > 0) {
      int rank_of_job = 0;
      TRIREME_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &rank_of_job));
      return split(rank_of_job / static_cast<int>(ranks), rank_);
    }
  }
  MPI_Comm part = MPI_COMM_NULL;
  TRIREME_MPI(MPI_Comm_split_type(comm_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &part));
  Communicator group(part);
  MPI_Comm_free(&part);
  return group;
}

Communicator& Communicator::named(const std::string& name) {
  TRIREME_MPI(MPI_Comm_set_name(comm_, name.c_str()));
  return *this;
}

std::string Communicator::name() const {
  char text[MPI_MAX_OBJECT_NAME] = "";
  int length = 0;
  TRIREME_MPI(MPI_Comm_get_name(comm_, text, &length));
  return text;
}

Communicator::Communicator(Communicator&& other) noexcept
    : comm_(std::exchange(other.comm_, MPI_COMM_NULL)), rank_(other.rank_), size_(other.size_), meter_(other.meter_) {}

Communicator& Communicator::operator=(Communicator&& other) noexcept {
  std::swap(comm_, other.comm_);
  std::swap(rank_, other.rank_);
  std::swap(size_, other.size_);
  std::swap(meter_, other.meter_);
  return *this;
}

Communicator::~Communicator() {
  if (comm_ != MPI_COMM_NULL && MPI_Comm_free(&comm_) != MPI_SUCCESS) std::fputs("trireme: MPI_Comm_free failed\n", stderr);
}

std::string Communicator::broadcast(std::string text, int root) const {
  std::uint64_t length = text.size();
  broadcast(std::span(&length, 1), root);
  text.resize(length);
  broadcast(std::span(text.data(), text.size()), root);
  return text;
}

std::vector<std::string> Communicator::gather(const std::string& mine) const {
  const WaitScope now("gather", comm_);
  const int n = static_cast<int>(mine.size());
  const bool root = rank_ == 0;
  std::vector<int> counts(root ? static_cast<std::size_t>(size_) : 0), starts(counts.size());
  TRIREME_MPI(MPI_Gather(&n, 1, MPI_INT, counts.data(), 1, MPI_INT, 0, comm_));
  int total = 0;
  for (std::size_t r = 0; r < counts.size(); ++r) starts[r] = total, total += counts[r];
  std::string all(static_cast<std::size_t>(total), '\0');
  TRIREME_MPI(MPI_Gatherv(mine.data(), n, MPI_CHAR, all.data(), counts.data(), starts.data(), MPI_CHAR, 0, comm_));
  std::vector<std::string> texts;
  for (std::size_t r = 0; r < counts.size(); ++r) texts.push_back(all.substr(static_cast<std::size_t>(starts[r]), static_cast<std::size_t>(counts[r])));
  return texts;
}

void Communicator::together(const std::function<void()>& action) const {
  std::string message, host;
  int place[] = {0, 0};  // exit code, rank in the job
  try {
    action();
  } catch (const std::exception& error) {  // for example out of memory: the other ranks must learn of it, too
    const Error known = described(error);
    message = known.what();
    place[0] = known.code() == ExitCode::done ? static_cast<int>(ExitCode::internal) : static_cast<int>(known.code());
    const auto* const shared = dynamic_cast<const SharedError*>(&error);
    host = shared != nullptr ? shared->host() : host_name();
    if (shared != nullptr) {
      place[1] = shared->rank();
    } else {
      TRIREME_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &place[1]));
    }
  }
  const int first = all_reduce(place[0] == 0 ? size_ : rank_, MPI_MIN);
  if (first == size_) return;
  message = broadcast(message, first);
  host = broadcast(host, first);
  broadcast(std::span<int>(place), first);
  throw SharedError(static_cast<ExitCode>(place[0]), message, place[1], host);
}

std::string host_name() {
  char name[MPI_MAX_PROCESSOR_NAME] = "";
  int length = 0;
  TRIREME_MPI(MPI_Get_processor_name(name, &length));
  return name;
}

}  // namespace trireme
