// The state of a training run, as a checkpoint stores it: parameters and buffers of the network, optimizer state, average of the parameters, accumulated
// rounding errors of the reduction, and progress.
//
// Owns all of these except the network, and performs the second half of a step: it reduces the gradients over the ranks and updates the parameters.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "network/network.hpp"
#include "optim/optimizer.hpp"
#include "optim/weight_average.hpp"
#include "reduction/gradient_reducer.hpp"
#include "train/run_context.hpp"
#include "train/snapshot.hpp"

namespace trireme {

template <class T>
class TrainState {
 public:
  /// `run` and `network` must outlive the state. Collective; usage errors name keys of [optimizer] and [parallel].
  TrainState(RunContext& run, Network<T>& network);
  TrainState(const TrainState&) = delete;
  TrainState& operator=(const TrainState&) = delete;

  Network<T>& network() { return network_; }
  GradientReducer<T>& reducer() { return reducer_; }
  const Optimizer<T>& optimizer() const { return optimizer_; }
  Progress& progress() { return progress_; }
  const Progress& progress() const { return progress_; }

  /// Waits for the reduction of the gradients. Collective over grid.reduction().
  void finish_reduction() { reducer_.finish(run_.exec); }
  /// Updates the parameters with learning rate `lr`, the buffers with the batch statistics of `samples` samples, and the average. Collective over the grid.
  void update(double lr, std::int64_t samples);

  /// Parameters, buffers and, if there is one, the average: the model without its optimizer.
  std::vector<Buffer<T>> model_arrays() const;
  /// Swaps the parameters with their average, if there is one; used before and after an evaluation.
  void exchange_average();

  /// The content of a checkpoint of this state. Collective.
  Snapshot<T> snapshot();
  /// Approximate bytes of this rank's arrays in a checkpoint. Not collective.
  double snapshot_bytes() const;
  /// Restores everything from a checkpoint except the groups of arrays that are `absent` from it; these start from their initial values (load_snapshot). `h5`:
  /// the thread that calls HDF5, if batches are being read. Collective; checkpoint errors name what does not fit.
  void load(const std::filesystem::path& file, IoThread* h5, const std::set<std::string>& absent);

 private:
  WeightAverage<T>* average() { return average_ ? &*average_ : nullptr; }

  RunContext& run_;
  Network<T>& network_;
  GradientReducer<T> reducer_;
  Optimizer<T> optimizer_;
  std::optional<WeightAverage<T>> average_;
  Progress progress_;
};

}  // namespace trireme
