// Errors and R^2 from the sums of blocks of rows; each block computes its sums relative to its own pivot target.
#pragma once

#include <limits>
#include <span>
#include <vector>

#include "base/share.hpp"
#include "comm/communicator.hpp"
#include "kokkos_kernels/metrics.hpp"

namespace trireme {

/// Sums over outputs; the sums of several ranks can be added.
struct OutputTotals {
  LongSum absolute;          // |y - t| over all targets
  LongSum r2;                // 1 - sum (y - t)^2 / sum (t - mean t)^2 over the outputs whose targets vary
  std::int64_t varying = 0;  // outputs whose targets vary
  double count = 0;          // targets that are not ignored
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();  // smallest and largest target
  LongSum squared;                                                                                        // (y - t)^2
  LongSum weighted_squared, weight;  // the same times the weights of rows (latitude), and these weights
  struct Channel {
    LongSum squared;
    double count = 0;
  };
  std::vector<Channel> channels;

  void add(const OutputTotals& other);
  /// As numbers, to send them.
  std::vector<double> numbers() const;
  static OutputTotals from(std::span<const double> numbers);
};

/// What the outputs of a sample on a rank are: pixels of `channels` channels, and the weight of each row of pixels (RowWeights).
struct OutputPlaces {
  std::int64_t channels = 1;
  std::vector<double> row_weights = {};
  std::int64_t width = 1;
};

/// Merges the sums of all blocks, which are distributed over the ranks of `comm` in order, into totals; each rank gets an even share of the outputs. `rows`:
/// rows of each block; `mine`: (blocks of this rank, outputs), for the blocks share_of(blocks, rank, ranks). Blocks are merged in order (Chan, Golub and
/// LeVeque 1983). Collective.
OutputTotals merge_blocks(const Communicator& comm, std::span<const std::int64_t> rows, std::span<const OutputSums> mine, std::int64_t outputs,
                          const OutputPlaces& places);

}  // namespace trireme
