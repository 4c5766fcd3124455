// The order of an epoch: a pure function of (seed, epoch), the same on every rank, without communication.
//
// Chunks (runs of rows of one shard) are shuffled; the sequence is cut into windows of a whole number of batches; inside a window
// single rows are permuted. A batch's rows are then sorted and cut into contiguous shares, so that in each window a rank needs
// nearly all rows of a few chunks and none of the others: its reads stay long, and which samples form a batch does not depend
// on the number of ranks.
#pragma once

#include <cstdint>
#include <vector>

namespace trireme {

class Sampler {
 public:
  /// `starts` as DataSet::starts(). `window` is rounded up to a multiple of `batch`.
  Sampler(std::vector<std::int64_t> starts, std::int64_t batch, std::int64_t chunk, std::int64_t window, std::uint64_t seed);

  std::int64_t batches() const;            // of an epoch
  std::int64_t batches_per_window() const;
  std::int64_t windows() const;
  /// All rows of window `w` of `epoch`, by batch: result[i] holds the rows of batch w * batches_per_window() + i, ascending.
  std::vector<std::vector<std::int64_t>> window(std::int64_t epoch, std::int64_t w) const;

 private:
  const std::vector<std::int64_t>& chunk_order(std::int64_t epoch) const;

  std::vector<std::int64_t> starts_;
  std::int64_t batch_, chunk_, window_;
  std::uint64_t seed_;
  struct Chunk { std::int64_t first, count; };
  std::vector<Chunk> chunks_;
  mutable std::int64_t cached_epoch_ = -1;           // one epoch's chunk order at a time
  mutable std::vector<std::int64_t> cached_order_;
};

/// The contiguous share of `n` things that part `r` of `parts` owns: [first, first + count), shares differ by at most one.
struct Share { std::int64_t first, count; };
Share share_of(std::int64_t n, int r, int parts);

}  // namespace trireme
