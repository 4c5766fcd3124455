// Lets all ranks agree, between the batches of an evaluation, whether to interrupt it.
//
// All ranks poll at the same batch numbers, at most 100 times per evaluation, even if they have different numbers of batches. An error on one rank is
// reported at the next poll, so no rank waits for a failed one.
#pragma once

#include <cstdint>
#include <functional>

#include "comm/communicator.hpp"

namespace trireme {

class StopPoll {
 public:
  /// `run`: the ranks that agree. `stop`: whether this rank wants to stop; if the function is empty, no call communicates. `batches`: the maximum number of
  /// batches of any rank, the same value on all ranks. Both references must outlive the object. Not collective.
  StopPoll(const Communicator& run, const std::function<bool()>& stop, std::int64_t batches);

  /// Call it before each batch; returns whether to evaluate the batch. Collective at batches that poll.
  bool continues();
  /// Whether the evaluation was interrupted.
  bool is_over() const { return over_; }
  /// Takes part in the remaining polls, so that ranks with fewer batches, or with an error (`failed`), answer the others. Collective.
  void finish(bool failed);
  /// After finish(): whether a rank wanted to stop and no rank had an error.
  bool stopped() const { return stopped_; }

 private:
  void poll(bool failed);

  const Communicator& run_;
  const std::function<bool()>& stop_;
  std::int64_t left_ = 0, every_ = 1, batch_ = 0;  // remaining polls; batches between polls; batches so far
  bool over_ = false, stopped_ = false;            // the same on all ranks
};

}  // namespace trireme
