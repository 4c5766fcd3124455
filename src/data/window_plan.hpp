// The plan of one rank for one window: the rows that it needs, and the positions in memory of the samples of each batch.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/share.hpp"
#include "data/sampler.hpp"

namespace trireme {

struct WindowPlan {
  std::int64_t epoch = 0;
  std::int64_t window = 0;
  std::int64_t batches = 0;         // in this window
  std::vector<RowRun> runs;         // rows that this rank needs, ascending
  Shares shares{1};                 // of its batches
  std::vector<std::int64_t> begin;  // offsets into places, batches + 1 of them
  /// For each sample of this rank, its position among the rows of `runs`. With rows_as_places: for each sample of all ranks, its row.
  std::vector<std::int64_t> places;

  std::span<const std::int64_t> places_of(std::int64_t batch) const {
    const auto b = static_cast<std::size_t>(batch);
    return std::span(places).subspan(static_cast<std::size_t>(begin[b]), static_cast<std::size_t>(begin[b + 1] - begin[b]));
  }
};

class Planner {
 public:
  /// Shuffled: rank r has its share of each batch. `most`: maximum samples of a batch that the shares of plan() give this rank; at least the even
  /// share.
  Planner(Sampler sampler, std::int64_t size, std::int64_t batch, int rank, int ranks, std::int64_t most = 0);
  /// Sequential: rank r has one block of rows, in order, in batches of ceil(batch / ranks).
  Planner(std::int64_t size, std::int64_t batch, std::int64_t window, int rank, int ranks);

  bool sequential() const { return !sampler_; }
  std::int64_t batches() const { return batches_; }  // per epoch; sequential: the maximum over all ranks
  std::int64_t batches_per_window() const { return batches_per_window_; }
  std::int64_t windows() const { return (batches_ + batches_per_window_ - 1) / batches_per_window_; }
  std::int64_t largest_share() const { return largest_share_; }
  /// Maximum number of rows that this rank needs of one window.
  std::int64_t most_rows() const { return most_rows_; }
  /// All rows that this rank may need: sequential its block, shuffled all rows.
  RowRun reach() const { return reach_; }
  std::span<const RowRun> reach_as_runs() const { return {&reach_, reach_.count > 0 ? 1u : 0u}; }
  /// Sequential: rows of a whole batch on one rank.
  std::int64_t rows_per_batch() const { return batch_; }

  struct Size {
    std::int64_t global_count, first, count;
  };  // of a batch, as in HostBatch
  /// Sequential batches do not depend on the shares.
  Size size_of_batch(std::int64_t index, const Shares& shares) const;

  /// Fills `plan` and reuses its memory. With `rows_as_places` a position is the row minus reach().first, and `runs` stays empty: for data sets that
  /// are in memory. Shuffled, the positions are then those of whole batches, so that shares can change without a new plan.
  void plan(std::int64_t epoch, std::int64_t window, bool rows_as_places, const Shares& shares, WindowPlan& plan);

 private:
  void plan_shuffled(bool rows_as_places, WindowPlan& plan);
  void plan_sequential(bool rows_as_places, WindowPlan& plan) const;

  std::optional<Sampler> sampler_;
  std::int64_t size_, batch_;
  int rank_, ranks_;
  std::int64_t batches_ = 0, batches_per_window_ = 0, largest_share_ = 0, most_rows_ = 0;
  RowRun reach_{0, 0};
  Sampler::Window rows_;           // shuffled: of the planned window
  std::vector<std::int64_t> met_;  // shuffled: samples of each batch seen so far
};

}  // namespace trireme
