// How far all ranks are, told by rank 0 while they work; and the word to stop when one of them fails. Ranks never wait
// for each other before finish().
//
// Each rank tells rank 0 its count now and then, and at the end how it ended. Rank 0 answers each rank exactly once:
// "stop" as soon as any has failed, else "end" when all are done. So no message is left over.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/timer.hpp"
#include "comm/communicator.hpp"

namespace trireme {

class ShardProgress {
 public:
  /// Thrown by add() when another rank has failed; that rank has the reason.
  struct Stopped {};

  /// `total` samples will be written by all ranks of `comm` together. Collective.
  ShardProgress(const Communicator& comm, std::int64_t total);

  void add(std::int64_t samples);
  /// This rank is done, or has failed. Returns when all are. Collective.
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
  // On the others:
  bool heard_verdict_ = false;
};

}  // namespace trireme
