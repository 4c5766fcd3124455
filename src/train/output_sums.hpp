// Mean absolute error and R^2 from sums that blocks of rows made, each about a target of its own.
#pragma once

#include <span>

#include "base/share.hpp"
#include "comm/communicator.hpp"
#include "kokkos_kernels/metrics.hpp"

namespace trireme {

/// Of some outputs: sums over them, which add up.
struct OutputTotals {
  LongSum absolute;           // of |y - t| over all samples
  LongSum r2;                 // of 1 - sum (y - t)^2 / sum (t - mean t)^2 over the outputs whose targets vary
  std::int64_t varying = 0;   // outputs whose targets vary
};

/// Sums of all blocks, which lie one behind the other on the ranks of `comm`, become the totals of an even share of the outputs on each rank. `rows`: of each
/// block; `mine`: (blocks of this rank, outputs), the blocks of share_of(blocks, rank, ranks). Merged in the order of blocks (Chan, Golub and LeVeque 1983).
/// Collective.
OutputTotals merge_blocks(const Communicator& comm, std::span<const std::int64_t> rows, std::span<const OutputSums> mine, std::int64_t outputs);

}  // namespace trireme
