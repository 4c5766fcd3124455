#include "train/pipeline_schedule.hpp"

#include <algorithm>

namespace trireme {

PipelineSchedule::PipelineSchedule(int stages, int stage, std::int64_t micro_batches)
    : micro_batches_(micro_batches), ahead_(std::min<std::int64_t>(stages - stage - 1, micro_batches)) {}

void PipelineSchedule::run(const Pass& forward, const Pass& backward) const {
  for (std::int64_t m = 0; m < micro_batches_ + ahead_; ++m) {
    if (m < micro_batches_) forward(m);
    if (m >= ahead_) backward(m - ahead_);
  }
}

}  // namespace trireme
