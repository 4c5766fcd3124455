// Counts and sums that the metrics of one loss need, over all samples of an evaluation.
#pragma once

#include <optional>
#include <vector>

#include "base/share.hpp"
#include "comm/process_grid.hpp"
#include "kokkos_kernels/metrics.hpp"
#include "losses/loss_terms.hpp"
#include "metrics/auroc.hpp"
#include "metrics/metric.hpp"
#include "metrics/output_sums.hpp"
#include "network/network.hpp"
#include "train/sample_scores.hpp"
#include "train/target_units.hpp"

namespace trireme {

/// The place of an evaluation: blocks of rows, of which this rank has `own`; whether this rank has outputs, and whether its counts enter the sums over all
/// ranks.
struct CountedPart {
  int blocks;
  Share own;
  bool has_outputs, counts;
};

template <class T>
class MetricCounter {
 public:
  /// `term` and `grid` must outlive the object. `rows`: samples of the data set. Usage errors name the key.
  MetricCounter(const LossTerm& term, const Network<T>& network, const ProcessGrid& grid, const CountedPart& part, std::int64_t rows);

  void clear();
  /// Adds `count` samples of own block `block`. `output`, `targets`: all channels of the network's output and of the joined targets, of this rank's pixels.
  void add(const Execution& exec, std::int64_t count, std::size_t block, Span<const T> output, const Targets<T>& targets);
  /// The statistics over all ranks. Collective over the run.
  MetricStatistics total();

 private:
  void count(const Execution& exec, std::int64_t count, std::size_t block, Span<const T> output, const Targets<T>& targets);
  void count_classes_of(const Execution& exec, std::int64_t count, Span<const T> output, const Targets<T>& targets);
  void total_counts(MetricStatistics& found);
  void total_errors(MetricStatistics& found);

  const LossTerm& term_;
  const LossTargets& targets_;
  const LossKind& kind_;
  const ProcessGrid& grid_;
  CountedPart part_;
  std::int64_t rows_, pixels_;       // samples of the data set; pixels of a sample on this rank
  std::int64_t outputs_, compared_;  // per sample on this rank: outputs; targets, if they are values
  std::int64_t joined_outputs_;      // channels of the network's output
  TargetUnits<T> units_;
  std::int64_t classes_;  // the same on all ranks; 0: targets are no classes
  bool confuses_;         // there is a confusion matrix
  std::optional<double> ignored_;
  Buffer<std::int64_t> counts_;   // of classes or binary targets
  Buffer<std::int32_t> largest_;  // class of the largest probability of each item, if targets are probabilities
  OutputPlaces places_;
  std::optional<ScoreList<T>> scores_;         // for the AUROC
  std::optional<RelativeErrors<T>> relative_;  // of values
  Buffer<OutputSums> sums_;                    // of values: one entry per own block
  std::vector<std::int64_t> counted_;          // rows of each own block
  Buffer<T> own_output_, own_target_;          // this loss's channels, if the network's output has others
};

}  // namespace trireme
