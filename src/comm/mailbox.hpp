// Texts between ranks that nobody agreed on before: who sends does not know when the other looks. Beside the collective calls of a Communicator, on a
// communicator of its own; may be used by several threads, but only one of a rank looks.
#pragma once

#include <exception>
#include <optional>
#include <string>

#include "comm/communicator.hpp"

namespace trireme {

class Mailbox {
 public:
  /// Collective over `comm`.
  explicit Mailbox(const Communicator& comm) : comm_(comm.duplicate()) {}

  /// Returns when the text is on its way or taken. Not collective. Large texts wait for the receiver to look.
  void send(int to, const std::string& text) const;

  struct Letter {
    int from;
    std::string text;
  };
  /// Takes a letter that has arrived, if any; does not wait.
  std::optional<Letter> look() const;

  const Communicator& comm() const { return comm_; }

 private:
  Communicator comm_;
};

/// Waits for all ranks of `comm` without using the core, looking every few milliseconds; `seconds`: at most so long, 0: for ever. Whether all came.
/// Collective. Where they did not, `comm` is of no use any more.
bool patient_barrier(const Communicator& comm, double seconds = 0);

/// Called by a rank of `comm` that met `error`, before it lets go of anything: returns where all ranks do so within a second, so that the error may travel up.
/// Where not, other ranks wait in calls that never end: says the error, with rank and place, and aborts the job (Environment::end_after_error).
void end_where_some_fail(const Communicator& comm, const std::exception& error);

}  // namespace trireme
