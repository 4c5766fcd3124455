// What an evaluation keeps of each target or sample, beyond sums: scores for the AUROC, and relative errors of samples.
#pragma once

#include <vector>

#include "comm/communicator.hpp"
#include "kokkos_kernels/metrics.hpp"
#include "metrics/auroc.hpp"
#include "metrics/metric.hpp"
#include "parallel/rank_sum.hpp"

namespace trireme {

/// The scores and targets of this rank, on the host.
template <class T>
class ScoreList {
 public:
  void clear() { scores_.clear(); }
  /// Adds binary targets: one score per target.
  void add_binary(const Execution& exec, std::int64_t count, const Ignored<T>& ignored, Span<const T> y, Span<const T> targets);
  /// Adds items of two classes: the score is the difference of both.
  void add_classes(const Execution& exec, std::int64_t items, const ClassTargets<T>& labels, Span<const T> y);
  /// From the scores of all ranks that count. Collective.
  MetricValue area(const Communicator& run, bool counts) const;

 private:
  std::vector<ScoredTarget> scores_;
};

/// Sums of ||y - t|| / ||t|| over samples.
template <class T>
class RelativeErrors {
 public:
  /// `split`: the ranks that share the pixels of a sample, or null.
  RelativeErrors(const Communicator* split, std::int64_t samples)
      : split_(split), squares_("trireme::evaluator::squares", static_cast<std::size_t>(2 * samples)) {}
  void clear() { sum_ = {}, samples_ = 0; }
  /// Collective over the ranks that share the samples' pixels.
  void add(const Execution& exec, std::int64_t n, std::int64_t targets, const ComparedOutputs<T>& compared, Span<const T> y, Span<const T> target);
  /// Adds the sums of all ranks that count. Collective.
  void total(const Communicator& run, bool counts, MetricStatistics& statistics) const;

 private:
  const Communicator* split_;
  Buffer<double> squares_;
  RankSum<double> all_reduce_;
  LongSum sum_;
  std::int64_t samples_ = 0;
};

}  // namespace trireme
