// The order of an epoch: a pure function of (seed, epoch), the same on every rank, without communication.
//
// Chunks (runs of rows of one shard) are shuffled; the sequence is cut into windows of a whole number of batches. The
// rows of a window, ascending, are cut into as many strata of neighbours as a batch has samples, and each batch gets
// one row of each stratum, drawn without replacement. So sample j of a batch comes from stratum j, and the contiguous
// share of a batch that a rank owns comes from a block of the window that no other rank reads: its reads stay long, on
// any number of ranks, and which samples form a batch does not depend on that number.
//
// For data that is in memory anyway the strata can be left out: with one window the order is then a free shuffle of all
// rows. Or nothing is drawn: chunks and batches then follow the rows as they are stored.
//
// Memory: four bytes a chunk, four a row of one window; never a list of all rows.
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
  /// `starts` as DataSet::starts(). `window` is rounded up to a multiple of `batch`.
  Sampler(std::vector<std::int64_t> starts, std::int64_t batch, std::int64_t chunk, std::int64_t window,
          std::uint64_t seed, Draw draw = Draw::from_strata);

  std::int64_t batches() const;  // of an epoch
  std::int64_t batches_per_window() const { return window_ / batch_; }
  std::int64_t windows() const;

  /// The rows of one window, ascending, and for each of them the batch that it belongs to, counted within the window.
  struct Window {
    std::vector<RowRun> runs;  // no two touch
    std::vector<std::uint32_t> batch;
  };
  /// Fills `out`, whose memory is used again. One thread at a time (the epoch's chunk order is kept between calls).
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
  };                                         // place in the chunk order, rows into that chunk
  mutable std::int64_t ordered_epoch_ = -1;  // one epoch's chunk order at a time
  mutable std::vector<std::uint32_t> order_;
  mutable std::vector<Cut> window_starts_;
};

}  // namespace trireme
