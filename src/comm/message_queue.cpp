#include "comm/message_queue.hpp"

#include <chrono>
#include <thread>

namespace trireme {

void MessageQueue::send(int to, const std::string& text) const {
  TRIREME_MPI(MPI_Send(text.data(), static_cast<int>(text.size()), MPI_CHAR, to, 0, comm_.handle()));
}

std::optional<MessageQueue::Message> MessageQueue::look() const {
  int arrived = 0, length = 0;
  MPI_Message message = MPI_MESSAGE_NULL;
  MPI_Status status;
  TRIREME_MPI(MPI_Improbe(MPI_ANY_SOURCE, 0, comm_.handle(), &arrived, &message, &status));
  if (arrived == 0) return std::nullopt;
  TRIREME_MPI(MPI_Get_count(&status, MPI_CHAR, &length));
  Message letter{status.MPI_SOURCE, std::string(static_cast<std::size_t>(length), '\0')};
  TRIREME_MPI(MPI_Mrecv(letter.text.data(), length, MPI_CHAR, &message, MPI_STATUS_IGNORE));
  return letter;
}

bool sleeping_barrier(const Communicator& comm, double seconds) {
  using Clock = std::chrono::steady_clock;
  MPI_Request request = MPI_REQUEST_NULL;
  TRIREME_MPI(MPI_Ibarrier(comm.handle(), &request));
  const auto began = Clock::now();
  for (int all = 0;;) {
    TRIREME_MPI(MPI_Test(&request, &all, MPI_STATUS_IGNORE));
    if (all != 0) return true;
    if (seconds > 0 && std::chrono::duration<double>(Clock::now() - began).count() > seconds) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void abort_on_partial_failure(const Communicator& comm, const std::exception& error) {
  if (comm.size() == 1 || sleeping_barrier(comm, 1) || Environment::current() == nullptr) return;
  Environment::current()->end_after_error(error);
}

}  // namespace trireme
