// Exact evaluation: every sample counts once, on any number of ranks.
//
// The rows of the data set are cut into blocks, one a rank of the data axis. With data.lanes there is a block for each lane, and ranks have as many as they
// have lanes: sums are made of each block, and added up in the order of blocks, so that metrics are the same bits on any number of ranks.
#pragma once

#include <nlohmann/json.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/share.hpp"
#include "comm/communicator.hpp"
#include "network/network.hpp"
#include "parallel/sharer_sums.hpp"
#include "train/local_batch.hpp"
#include "train/loss_function.hpp"

namespace trireme {

struct Metrics {
  std::int64_t samples = 0;
  double loss = 0;
  // Classes (cross_entropy):
  bool classification = false;
  double accuracy = 0, top5 = 0;
  std::int64_t classes = 0;
  std::vector<std::int64_t> confusion;  // (true, predicted), row-major
  // Values:
  double mae = 0, r2 = 0;  // R^2: mean over the outputs of 1 - sum (y-t)^2 / sum (t - mean t)^2

  /// {"samples", "loss", "accuracy", "top5"} or {"samples", "loss", "mae", "r2"}; with `details` also "confusion".
  nlohmann::json json(bool details = false) const;
  /// "loss 0.0312  accuracy 99.04 %  top-5 99.99 %"
  std::string text() const;
};

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
  Metrics run(const Execution& exec);
  /// Bytes of rows that are in memory at most while it runs.
  std::int64_t data_memory() const;

 private:
  void evaluate(const Execution& exec);
  void evaluate_block(const Execution& exec, std::size_t block);
  /// Of the data axis: sums of each output at hand over all samples. Collective over that axis.
  std::vector<double> sum_errors_of_blocks() const;

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
  Buffer<std::int64_t> counts_;
  Buffer<double> sums_;                 // of each of this rank's blocks
  std::vector<double> losses_;
};

}  // namespace trireme
