// The order of samples in an epoch: a pure function of (seed, epoch), the same on every rank, without communication.
//
// Chunks (consecutive rows of one shard) are shuffled, and their sequence is divided into windows of a whole number of batches. The rows of a window,
// in ascending order, are divided into strata, one for each sample of a batch. Each batch gets one row of each stratum, drawn without replacement. So
// sample j of a batch comes from stratum j, and the contiguous share of a batch on one rank comes from a part of the window that no other rank reads.
// Reads are therefore long on any number of ranks, and the samples of a batch do not depend on the number of ranks.
//
// For data in memory the strata are not needed: with one window the order is a free shuffle of all rows. Without shuffling, chunks and batches follow
// the stored order of rows.
//
// Memory: four bytes per chunk and four per row of one window; never a list of all rows.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.hpp"
#include "base/share.hpp"

namespace trireme {

/// Rows [first, first + count) of a data set.
struct RowRun {
  std::int64_t first, count;
};

class Sampler {
 public:
  enum class Draw { from_strata, freely, in_order };
  /// `starts`: DataSet::starts(). `window` is rounded up to a multiple of `batch`.
  Sampler(std::vector<std::int64_t> starts, std::int64_t batch, std::int64_t chunk, std::int64_t window, std::uint64_t seed, Draw draw = Draw::from_strata);

  std::int64_t batches() const;  // per epoch
  std::int64_t batches_per_window() const { return window_ / batch_; }
  std::int64_t windows() const;

  /// The rows of one window, ascending, and for each row the number of its batch within the window.
  struct Window {
    std::vector<RowRun> runs;  // separated by gaps
    std::vector<std::uint32_t> batch;
  };
  /// Fills `out` and reuses its memory. One thread at a time (the chunk order of the epoch is cached).
  void window(std::int64_t epoch, std::int64_t w, Window& out) const;
  /// The same by batch: result[i] holds the rows of batch w * batches_per_window() + i, ascending.
  std::vector<std::vector<std::int64_t>> window(std::int64_t epoch, std::int64_t w) const;

 private:
  RowRun chunk(std::uint32_t id) const;
  void order_chunks(std::int64_t epoch) const;
  void choose_runs(std::int64_t w, std::int64_t rows, std::vector<RowRun>& runs) const;
  void draw_batches(std::int64_t rows, RandomStream random, std::vector<std::uint32_t>& batch) const;

  std::vector<std::int64_t> starts_;
  std::vector<std::int64_t> chunk_starts_;  // number of the first chunk of each shard
  std::int64_t batch_, chunk_, window_;
  std::uint64_t seed_;
  Draw draw_;

  struct Cut {
    std::uint32_t chunk;
    std::int64_t offset;
  };                                         // position in the chunk order, row within that chunk
  mutable std::int64_t ordered_epoch_ = -1;  // the epoch of the cached chunk order
  mutable std::vector<std::uint32_t> order_;
  mutable std::vector<Cut> window_starts_;
};

}  // namespace trireme
