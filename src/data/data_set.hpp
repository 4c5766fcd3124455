// A data set: many shards seen as one list of rows 0..size()-1 (shards in the order of their names).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/shape.hpp"
#include "comm/communicator.hpp"
#include "io/shard.hpp"

namespace trireme {

/// What the labels must be.
struct LabelDemand {
  enum class Kind { none, classes, values, features } kind = Kind::none;  // features: they are their own labels
  std::int64_t count = 0;  // classes: how many; values, features: numbers a sample
  Shape shape = {};        // values: of the network's output; of rank 0: only the count is checked

  /// Whether the files must have them.
  bool stored() const { return kind == Kind::classes || kind == Kind::values; }
};

class DataSet {
 public:
  /// Finds and describes the shards; each rank opens its part of them (10,000 shards are described in parallel) and all
  /// share. Checks that all agree in sample shape (but for leading ones) and types with each other, in the number of
  /// elements and the order of axes with `sample` (of rank 0: not checked) and with `labels`; shards without rows may be of any shape.
  /// Collective over `comm`; errors are data errors that name the shard, what was expected and found. Calls HDF5 on the
  /// calling thread: make data sets before the I/O thread works. Rows of all shards are brought to one set of moments: those of `names`, else of the first
  /// shard that has rows; names() says which.
  DataSet(const Communicator& comm, const std::string& where, const ShardNames& names, const Shape& sample,
          const LabelDemand& labels);

  std::int64_t size() const { return starts_.back(); }
  const std::vector<ShardInfo>& shards() const { return shards_; }
  const ShardNames& names() const { return names_; }
  const LabelDemand& labels() const { return labels_; }
  ElementType feature_type() const;
  ElementType label_type() const;
  std::int64_t feature_bytes() const;  // of one sample
  std::int64_t label_bytes() const;    // 0 where the files need no labels

  /// First row of shard s; starts()[shards().size()] == size().
  const std::vector<std::int64_t>& starts() const { return starts_; }
  /// Index of the shard that holds `row`.
  std::size_t shard_of(std::int64_t row) const;
  const std::string& where() const { return where_; }
  /// Whether rows are brought to other moments than those that they were stored with.
  bool changes_moments() const;
  /// Whether the shards say that their features were standardized when they were made.
  bool standardized() const { return !stored_features_.mean.empty(); }

 private:
  const ShardInfo& reference() const { return shards_[reference_]; }
  void take_moments(const Communicator& comm);

  std::string where_;
  ShardNames names_;
  Moments stored_features_, stored_labels_;  // of the first shard that has rows
  LabelDemand labels_;
  std::vector<ShardInfo> shards_;
  std::vector<std::int64_t> starts_{0};
  std::size_t reference_ = 0;  // the first shard that has rows
};

}  // namespace trireme
