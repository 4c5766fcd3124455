// Checkpoints store the moments that the training data were standardized with, so that other rows can be standardized in the same way.
#pragma once

#include <filesystem>

#include "comm/communicator.hpp"
#include "data/data_set.hpp"
#include "train/snapshot.hpp"

namespace trireme {

/// Adds the moments to the content of a checkpoint: /data/features_mean, /data/features_deviation and the same for labels, if there are any. `names`
/// must outlive the snapshot.
template <class T>
Snapshot<T> with_moments(Snapshot<T> snapshot, const ShardNames& names) {
  const auto add = [&](const char* name, const std::vector<double>& numbers) {
    if (!numbers.empty()) snapshot.arrays.push_back({name, Shape{static_cast<std::int64_t>(numbers.size())}, true, numbers.data()});
  };
  if (names.feature_moments) add("data/features_mean", names.feature_moments->mean), add("data/features_deviation", names.feature_moments->deviation);
  if (names.label_moments) add("data/labels_mean", names.label_moments->mean), add("data/labels_deviation", names.label_moments->deviation);
  return snapshot;
}

/// Sets the moments of a checkpoint's training data in `names`, if the checkpoint has any. Collective; throws checkpoint errors.
void ask_for_moments_of(const Communicator& comm, const std::filesystem::path& checkpoint, ShardNames& names);

/// Warns if rows are converted to other moments than their own, or have moments although the training data had none. Logs on rank 0.
void tell_of_moments(const DataSet& data, const ShardNames& asked);

/// Warns if the features of `data` have another type than those of the training data, for example bytes (0 to 255) instead of floats (0 to 1). float32 and
/// float64 count as the same type. Collective.
void tell_of_type(const Communicator& comm, const std::filesystem::path& checkpoint, const DataSet& data);

}  // namespace trireme
