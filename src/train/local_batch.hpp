// From a host batch to what this rank's part of the network takes: its pixels of the input on the first stage, its pixels of the targets on the last.
#pragma once

#include "network/network.hpp"
#include "train/batch_stager.hpp"

namespace trireme {

template <class T>
class LocalBatch {
 public:
  /// `samples`: the most a batch has. `network` outlives it.
  LocalBatch(const Deck& deck, const DataSet& data, Network<T>& network, std::int64_t samples);

  /// See BatchStager::stage.
  void stage(const HostBatch& batch) { stager_.stage(batch); }
  /// Fills network.input() where this rank has the first stage, and returns the targets where it has the last.
  Targets<T> load(const Pass& pass, const HostBatch& batch);

 private:
  Network<T>& network_;
  bool first_, last_;
  BatchStager<T> stager_;
  Buffer<T> whole_;    // input of whole samples, where the network takes a part of it or none
  Buffer<T> targets_;  // this rank's part, where outputs are split
};

/// Samples [first, first + count) of a batch.
HostBatch part_of(const HostBatch& batch, std::int64_t first, std::int64_t count);

}  // namespace trireme
