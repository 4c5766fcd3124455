// Exact evaluation: every sample counts once, on any number of ranks.
//
// The rows of the data set are cut into blocks, one a rank of the data axis. With data.lanes there is a block for each lane, and ranks have as many as they
// have lanes: sums are made of each block, and added up in the order of blocks, so that metrics are the same bits on any number of ranks. Sums of errors and of
// targets keep what rounding takes (kokkos_kernels/long_sum.hpp), so that without lanes, too, they do not depend on the blocks.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/share.hpp"
#include "comm/communicator.hpp"
#include "network/network.hpp"
#include "parallel/sharer_sums.hpp"
#include "train/local_batch.hpp"
#include "train/loss_function.hpp"
#include "train/metrics.hpp"
#include "train/output_sums.hpp"

namespace trireme {

template <class T>
class Evaluator {
 public:
  /// `network`, the ranks and `data` outlive it. `batch`: samples of a global batch; each share must fit the network. Of a whole network on each rank of
  /// `comm`, which divide the rows; or of one whose parts lie on a grid. Collective.
  Evaluator(const Deck& deck, const Communicator& comm, Network<T>& network, const DataSet& data, IoThread& io, std::int64_t batch);
  Evaluator(const Deck& deck, const ProcessGrid& grid, Network<T>& network, const DataSet& data, IoThread& io, std::int64_t batch);
  /// From now on what this gives of a batch that the network has run on is evaluated, instead of the network's output.
  void replace_output(std::function<Span<const T>(const Pass&, const HostBatch&)> output) { output_ = std::move(output); }
  /// One pass over the whole data set. Collective.
  Metrics run(const Execution& exec) { return *run_unless(exec, {}); }
  /// The same; nothing where `stop` says so, on any rank, between two batches: looked for up to 100 times. Collective.
  std::optional<Metrics> run_unless(const Execution& exec, const std::function<bool()>& stop);
  /// Why these metrics have a loss that is not finite, and what to do; empty where it is.
  std::string fault_of(const Metrics& metrics) const;
  /// Bytes of rows that are in memory at most while it runs.
  std::int64_t data_memory() const;

 private:
  /// False where it was given up.
  bool evaluate(const Execution& exec, const std::function<bool()>& stop);
  /// Before each batch: whether to go on.
  bool goes_on();
  void look(bool failed);
  void evaluate_block(const Execution& exec, std::size_t block);
  void count_batch(const Execution& exec, const HostBatch& batch, std::size_t block, Span<const T> output, const Targets<T>& targets);
  void add_counts(Metrics& metrics);
  void add_errors(Metrics& metrics);

  std::unique_ptr<const ProcessGrid> own_grid_;
  const ProcessGrid& grid_;
  Network<T>& network_;
  const DataSet& data_;
  SharerSums sharer_sums_;
  bool last_, counts_samples_;          // whether this rank has the output; whether its numbers of it count in sums over all ranks
  std::uint64_t seed_;  // of the run
  int blocks_;                          // of the data set
  bool fixed_order_;                    // of sums inside a pass
  Share own_blocks_;                    // this rank's
  BatchStream::Options stream_options_;
  IoThread& io_;
  std::unique_ptr<BatchStream> stream_; // of the block that was evaluated last
  BatchStager<T> stager_;
  std::optional<ChannelShares<T>> shares_;  // where channels of the output lie on several ranks: they are gathered
  Buffer<T> gathered_;
  std::int64_t outputs_;                // at hand of a sample, gathered ones too
  LossFunction<T> loss_;
  std::function<Span<const T>(const Pass&, const HostBatch&)> output_;
  LossKind kind_;
  std::int64_t classes_;                // of cross_entropy, the same on all ranks; else 0
  bool confuses_;                       // whether there is a confusion matrix
  Buffer<std::int64_t> counts_;         // of classes or binary targets
  Buffer<OutputSums> sums_;             // of values: of each of this rank's blocks
  std::vector<double> losses_;          // of each of these
  std::vector<std::int64_t> rows_;      // of each block, no matter whose: this rank's
  struct {
    const std::function<bool()>* stop = nullptr;
    std::int64_t left = 0, every = 1, batch = 0;  // looks that are still to be made; batches from one to the next
    bool over = false, stopped = false;           // the same on all ranks: to give up; because of a stop
  } looks_;
};

}  // namespace trireme
