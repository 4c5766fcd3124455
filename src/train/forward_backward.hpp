// Computes the gradient of a batch: stages the samples, runs forward, loss and backward, and passes finished gradients to the reducer.
//
// A batch is one pass, or several micro-batches in the 1F1B schedule (PipelineSchedule). With virtual ranks, each one is a share of the batch with its own
// gradient. On CUDA, launches that are the same in every step are captured once in a CUDA graph and replayed (train.graph).
//
// Owns the loss function, the passes of the micro-batches and the CUDA graph.
#pragma once

#include <cstdint>
#include <vector>

#include "base/share.hpp"
#include "kokkos_kernels/device_graph.hpp"
#include "losses/loss_function.hpp"
#include "network/network.hpp"
#include "parallel/reduction_group_sums.hpp"
#include "reduction/gradient_reducer.hpp"
#include "train/control_exchange.hpp"
#include "train/data_loader.hpp"
#include "train/pipeline_schedule.hpp"
#include "train/run_context.hpp"
#include "train/step_profiler.hpp"

namespace trireme {

/// The position of a batch within its step.
struct BatchInStep {
  std::int64_t step;            // completed updates before this step
  std::int64_t samples_before;  // in earlier batches of the step
  std::int64_t step_samples;    // in all batches of the step
  bool last;                    // last batch of the step
  StepFlags flags;              // requests of this rank in this step
};

template <class T>
class ForwardBackward {
 public:
  /// All arguments must outlive the object. Not collective; usage errors name keys of [loss].
  ForwardBackward(RunContext& run, Network<T>& network, DataLoader<T>& loader, GradientReducer<T>& reducer, StepProfiler<T>& profiler);

  /// Adds this rank's share of the gradient of a batch. With the last batch of the step it also starts the reduction of each gradient that is final.
  /// Collective over the ranks that share the batch's samples. Throws the errors of layers and stagers.
  void run(const HostBatch& batch, const BatchInStep& place);

  const LossFunction<T>& loss() const { return loss_; }
  /// The loss and flags of all ranks, after the reduction. Waits for the device; collective over the ranks that hold one model.
  StepOutcome outcome() { return control_.read(run_.exec, loss_); }

 private:
  /// Processes the samples of this rank's share of the batch, or of one virtual rank. `last`: gradients are final afterwards.
  void run_share(const HostBatch& share, const BatchInStep& place, bool last);
  Pass pass_of(const HostBatch& share, const Share& part, const BatchInStep& place);
  void forward(const Pass& pass, const HostBatch& batch, const BatchInStep& place);
  void backward(const Pass& pass, bool last);
  /// Forward, loss and backward as one CUDA graph, if they are the same in every step.
  void replay(const Pass& pass, std::int64_t step_samples, const Targets<T>& targets);
  /// Waits until launched kernels no longer read the host memory that the next batch overwrites.
  void wait_for_staging();

  RunContext& run_;
  Network<T>& network_;
  DataLoader<T>& loader_;
  GradientReducer<T>& reducer_;
  StepProfiler<T>& profiler_;
  LossFunction<T> loss_;
  ControlExchange<T> control_;
  ReductionGroupSums reduction_group_sums_;
  PipelineSchedule schedule_;
  std::int64_t virtual_ranks_;  // per batch; 0: off
  std::vector<Pass> passes_;    // one per micro-batch
  bool replays_;
  DeviceGraph recording_;
};

}  // namespace trireme
