#include "train/stop_poll.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace trireme {

StopPoll::StopPoll(const Communicator& run, const std::function<bool()>& stop, std::int64_t batches) : run_(run), stop_(stop) {
  constexpr std::int64_t most_polls = 100;
  if (!stop_) return;
  left_ = std::min(batches, most_polls);
  every_ = (batches + left_ - 1) / left_;
}

void StopPoll::poll(bool failed) {
  std::array<int, 2> told{stop_() ? 1 : 0, failed ? 1 : 0};
  run_.all_reduce(std::span<int>(told), MPI_MAX);
  --left_;
  over_ = told[0] + told[1] > 0;
  stopped_ = told[0] > 0 && told[1] == 0;
}

bool StopPoll::continues() {
  if (left_ > 0 && !over_ && batch_++ % every_ == 0) poll(false);
  return !over_;
}

void StopPoll::finish(bool failed) {
  while (left_ > 0 && !over_) poll(failed);
}

}  // namespace trireme
