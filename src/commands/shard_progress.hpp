// Progress of all ranks, which rank 0 logs during the work, and a stop message if a rank fails. Ranks never wait for each other before finish().
//
// Each rank sends its count to rank 0 from time to time, and its result at the end. Rank 0 answers each rank exactly once: "stop" as soon as any rank has
// failed, otherwise "end" when all are done. No message is left unreceived.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/timer.hpp"
#include "comm/communicator.hpp"

namespace trireme {

class ShardProgress {
 public:
  /// Thrown by add() if another rank has failed; that rank reports the reason.
  struct Stopped {};

  /// `total`: samples that all ranks of `comm` write together. Collective.
  ShardProgress(const Communicator& comm, std::int64_t total);

  void add(std::int64_t samples);
  /// This rank is done, or has failed. Returns when all ranks are done. Collective.
  void finish(bool failed);

 private:
  enum Tag : int { working, succeeded, failing, verdict };
  void hear(bool wait);
  void send_verdict(bool stop);
  void show();

  Communicator comm_;
  std::int64_t total_;
  std::int64_t mine_ = 0;
  Timer since_start_, since_report_, since_line_;
  // On rank 0, by rank:
  std::vector<std::int64_t> done_;
  std::vector<char> answered_;
  int ended_ = 0;
  bool stopping_ = false;
  // On the other ranks:
  bool heard_verdict_ = false;
};

}  // namespace trireme
