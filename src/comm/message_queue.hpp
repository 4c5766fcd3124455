// Text messages between ranks at any time: the sender does not know when the receiver looks. They use their own communicator, separate from
// collective calls. Several threads may use it, but only one thread per rank may receive.
#pragma once

#include <exception>
#include <optional>
#include <string>

#include "comm/communicator.hpp"

namespace trireme {

class MessageQueue {
 public:
  /// Collective over `comm`.
  explicit MessageQueue(const Communicator& comm) : comm_(comm.duplicate()) {}

  /// Returns when the text is sent or received. Not collective. Large texts block until the receiver looks.
  void send(int to, const std::string& text) const;

  struct Message {
    int from;
    std::string text;
  };
  /// Returns a message that has arrived, if any; does not wait.
  std::optional<Message> look() const;

  const Communicator& comm() const { return comm_; }

 private:
  Communicator comm_;
};

/// Waits for all ranks of `comm` while sleeping, polling every few milliseconds, at most `seconds`; 0: forever. Returns whether all ranks arrived.
/// Collective. If not all arrived, `comm` must not be used any more.
bool sleeping_barrier(const Communicator& comm, double seconds = 0);

/// Call it on a rank of `comm` that caught `error`, before it releases anything. Returns if all ranks call it within one second, so that the error
/// can propagate. Otherwise other ranks are blocked in calls that never end: prints the error with rank and place, and aborts the job
/// (Environment::end_after_error).
void abort_on_partial_failure(const Communicator& comm, const std::exception& error);

}  // namespace trireme
