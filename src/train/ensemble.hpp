// Averages the outputs of several networks. With the loss cross_entropy the outputs are first converted to probabilities:
// p = sum_m softmax(y_m) / M, and the predicted class is the largest p (Lakshminarayanan, Pritzel and Blundell 2017, section 2.4).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "network/network.hpp"
#include "train/batch_stager.hpp"
#include "train/snapshot.hpp"

namespace trireme {

template <class T>
class Ensemble {
 public:
  struct Member {
    std::filesystem::path file;
    Deck deck;
    std::unique_ptr<Network<T>> network;
    std::unique_ptr<BatchStager<T>> stager;
    Progress progress;
  };

  /// Reads the checkpoints and the decks inside them, and applies `overrides` to each deck. `combine`: combine outputs even if there is only one
  /// member; otherwise a single member returns the output of its network. All networks are in memory. Collective. Throws checkpoint errors, and usage
  /// errors if input, output or loss of the members differ.
  Ensemble(const Communicator& comm, const std::vector<std::filesystem::path>& files, const std::vector<std::string>& overrides, bool combine);

  const Deck& deck() const { return members_.front().deck; }  // of the first member
  Network<T>& network() { return *members_.front().network; }
  const std::vector<Member>& members() const { return members_; }
  /// Whether the outputs are probabilities.
  bool probabilities() const { return combine_ && classes_ > 0; }
  /// Samples per batch over all ranks: data.test_batch, or data.batch, of the first member's deck.
  std::int64_t batch() const { return batch_; }

  /// Sets the layout of samples. Call it once, before the first batch. `data` must outlive the ensemble.
  void read_from(const DataSet& data);
  /// Fills the input of the first member's network.
  void load(const Pass& pass, const HostBatch& batch) { members_.front().stager->load(pass, batch, network().input()); }
  /// Output for a batch, shape (samples, ..., C), channels last. Valid until the next call.
  Span<const T> run(const Pass& pass, const HostBatch& batch);
  /// The same if the first member's network has already run. `logarithm`: return log(p), the scores for cross_entropy.
  Span<const T> complete(const Pass& pass, const HostBatch& batch, bool logarithm);

 private:
  std::vector<Member> members_;
  std::int64_t batch_ = 0;
  bool combine_;
  std::int64_t classes_ = 0;  // of each sample or pixel; 0: outputs are no class scores
  Buffer<T> mean_, part_;
  Buffer<double> softmax_;  // workspace
};

}  // namespace trireme
