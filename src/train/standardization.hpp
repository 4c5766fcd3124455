// The moments that the training data were standardized by travel in checkpoints, so that other rows are brought to the same.
#pragma once

#include <filesystem>

#include "comm/communicator.hpp"
#include "data/data_set.hpp"
#include "train/snapshot.hpp"

namespace trireme {

/// Adds them to what a checkpoint holds: /data/features_mean, /data/features_deviation and the same of labels, where there are any. `names` outlives it.
template <class T>
Snapshot<T> with_moments(Snapshot<T> snapshot, const ShardNames& names) {
  const auto add = [&](const char* name, const std::vector<double>& numbers) {
    if (!numbers.empty()) snapshot.arrays.push_back({name, Shape{static_cast<std::int64_t>(numbers.size())}, true, numbers.data()});
  };
  if (names.feature_moments) add("data/features_mean", names.feature_moments->mean), add("data/features_deviation", names.feature_moments->deviation);
  if (names.label_moments) add("data/labels_mean", names.label_moments->mean), add("data/labels_deviation", names.label_moments->deviation);
  return snapshot;
}

/// From now on `names` asks for the moments of a checkpoint's training data, where it holds any. Collective; checkpoint errors.
void ask_for_moments_of(const Communicator& comm, const std::filesystem::path& checkpoint, ShardNames& names);

/// Says where rows are brought to other moments than their own, or have moments that the training data had not. On rank 0's log.
void tell_of_moments(const DataSet& data, const ShardNames& asked);

}  // namespace trireme
