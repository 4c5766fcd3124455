// Exact evaluation: every sample counts once, on any number of ranks.
//
// The rows of the data set are divided into blocks, one per rank of the data axis, or one per virtual rank (data.virtual_ranks). Each block has its
// own sums, which are added in the order of the blocks. With virtual ranks metrics are therefore bitwise identical on any number of ranks. Sums of
// errors and of targets keep the rounding error (kokkos_kernels/long_sum.hpp), so they do not depend on the blocks even without virtual ranks.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/share.hpp"
#include "comm/communicator.hpp"
#include "losses/loss_function.hpp"
#include "metrics/metrics.hpp"
#include "metrics/output_sums.hpp"
#include "network/network.hpp"
#include "parallel/reduction_group_sums.hpp"
#include "train/local_batch.hpp"
#include "train/metric_counter.hpp"
#include "train/stop_poll.hpp"

namespace trireme {

template <class T>
class Evaluator {
 public:
  /// `network`, the ranks and `data` must outlive the evaluator. `batch`: samples of a global batch; each rank's share must fit the network. The
  /// network is either whole on each rank of `comm`, and these ranks divide the rows; or it is distributed over a grid. Collective.
  Evaluator(const Deck& deck, const Communicator& comm, Network<T>& network, const DataSet& data, IoThread& io, std::int64_t batch);
  Evaluator(const Deck& deck, const ProcessGrid& grid, Network<T>& network, const DataSet& data, IoThread& io, std::int64_t batch);
  /// Sets another source of outputs: the evaluator then uses the result of this function for each batch instead of the network's output.
  void replace_output(std::function<Span<const T>(const Pass&, const HostBatch&)> output) { output_ = std::move(output); }
  /// One pass over the whole data set. Collective.
  Metrics run(const Execution& exec) { return *run_unless(exec, {}); }
  /// The same, but returns nothing if `stop` returns true on any rank. `stop` is called between batches, at most 100 times. Collective.
  std::optional<Metrics> run_unless(const Execution& exec, const std::function<bool()>& stop);
  /// Why the loss in these metrics is not finite, and what to do; empty if the loss is finite.
  std::string fault_of(const Metrics& metrics) const;
  /// Maximum bytes of rows in memory during a pass.
  std::int64_t data_memory() const;

 private:
  /// The division of the rows into blocks, and the counts of each block of this rank.
  struct Blocks {
    Blocks(int blocks, const GridPlace& place);
    int count;                    // in the whole data set
    Share own;                    // of this rank
    std::vector<double> losses;   // of each own block, the sum of each loss
    std::vector<double> weights;  // and of the weights of its targets
  };

  /// Uses `own_grid` if it is set, else `grid`.
  Evaluator(std::unique_ptr<const ProcessGrid> own_grid, const ProcessGrid* grid, const Deck& deck, Network<T>& network, const DataSet& data, IoThread& io,
            std::int64_t batch);
  /// Returns false if the pass was interrupted.
  bool evaluate(const Execution& exec, const std::function<bool()>& stop);
  void evaluate_block(const Execution& exec, std::size_t block, StopPoll& poll);
  void add_loss(Metrics& metrics);

  std::unique_ptr<const ProcessGrid> own_grid_;
  const ProcessGrid& grid_;
  Network<T>& network_;
  const DataSet& data_;
  ReductionGroupSums reduction_group_sums_;
  bool last_, counts_samples_;  // this rank has the output; this rank's counts enter the sums over all ranks
  std::uint64_t seed_;          // of the run
  bool fixed_order_;            // of the reductions in a pass
  Blocks blocks_;
  BatchStream::Options stream_options_;
  IoThread& io_;
  std::unique_ptr<BatchStream> stream_;  // of the current block
  BatchStager<T> stager_;
  std::optional<ChannelShares<T>> shares_;  // gathers the output if its channels are distributed
  Buffer<T> gathered_;
  std::int64_t outputs_;  // per sample, including gathered ones
  LossFunction<T> loss_;
  std::function<Span<const T>(const Pass&, const HostBatch&)> output_;
  std::vector<std::unique_ptr<MetricCounter<T>>> counters_;  // of each loss
};

}  // namespace trireme
