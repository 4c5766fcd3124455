// The 1F1B schedule (one forward, one backward: Narayanan et al. 2019, PipeDream-Flush): the order in which a pipeline stage processes the micro-batches of a
// batch. With p stages, stage s runs p - s - 1 forward passes, then alternates one forward and one backward pass, then runs the remaining backward passes:
//
//   stage 0 of 3   F0 F1 F2 B0 F3 B1    B2    B3
//   stage 1 of 3      F0 F1 B0 F2 B1 F3 B2    B3
//   stage 2 of 3         F0 B0 F1 B1 F2 B2 F3 B3
//
// A stage therefore keeps the activations of at most p - s micro-batches. Without a pipeline p is 1: forward and backward alternate.
#pragma once

#include <cstdint>
#include <functional>

namespace trireme {

class PipelineSchedule {
 public:
  /// The schedule of stage `stage` of `stages`.
  PipelineSchedule(int stages, int stage, std::int64_t micro_batches);

  std::int64_t micro_batches() const { return micro_batches_; }
  /// Calls forward(m) and backward(m) once for each micro-batch m. Collective over the pipeline if these are; passes on their errors.
  using Pass = std::function<void(std::int64_t micro_batch)>;
  void run(const Pass& forward, const Pass& backward) const;

 private:
  std::int64_t micro_batches_;
  std::int64_t ahead_;  // forward passes before the first backward pass
};

}  // namespace trireme
