// Several networks that answer as one: the mean of their outputs. Where the loss is cross_entropy the outputs are made probabilities first (softmax), so
// that p = sum_m softmax(y_m) / M, and the class is the largest of p (Lakshminarayanan, Pritzel and Blundell 2017, section 2.4).
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

  /// Reads the checkpoints with the decks inside them, changed by `overrides`. `combine`: whether outputs are combined even of one member; one that is not
  /// combined answers with its network's output. All networks are in memory. Collective; checkpoint errors, and usage errors where members do not fit
  /// together: input, output and loss must be the same.
  Ensemble(const Communicator& comm, const std::vector<std::filesystem::path>& files, const std::vector<std::string>& overrides, bool combine);

  const Deck& deck() const { return members_.front().deck; }  // of the first member
  Network<T>& network() { return *members_.front().network; }
  const std::vector<Member>& members() const { return members_; }
  /// Whether the outputs are probabilities.
  bool probabilities() const { return combine_ && classes_; }
  /// Samples a batch over all ranks: data.test_batch or data.batch of the first member's deck.
  std::int64_t batch() const { return batch_; }

  /// Once, before the first batch: what samples look like. `data` outlives the ensemble.
  void read_from(const DataSet& data);
  /// The output for a batch, (samples, ..., C) channels-last; valid until the next call.
  Span<const T> run(const Pass& pass, const HostBatch& batch);
  /// The same where the first member's network has run already. `logarithm`: of probabilities, which are scores for cross_entropy.
  Span<const T> complete(const Pass& pass, const HostBatch& batch, bool logarithm);

 private:
  std::vector<Member> members_;
  std::int64_t batch_ = 0;
  bool combine_, classes_ = false;
  Buffer<T> mean_, part_;
};

}  // namespace trireme
