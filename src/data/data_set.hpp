// A data set: several shards as one list of rows 0..size()-1 (shards in the order of their names).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/shape.hpp"
#include "comm/communicator.hpp"
#include "io/shard.hpp"

namespace trireme {

/// The required form of labels.
struct LabelDemand {
  enum class Kind { none, classes, values, features } kind = Kind::none;  // features: the features are also the labels
  std::int64_t count = 0;                                                 // classes: number of classes; values, features: numbers per sample
  Shape shape = {};                                                       // values: shape of the targets; if its rank is 0, only the count is checked
  std::int64_t classes = 0;                                               // values: they are class numbers, below this
  std::optional<double> ignored = {};                                     // classes, values: labels of this value (or NaN) are targets that do not count
  std::string of = {};                                                    // values: what the shape is, for messages; empty: the network's output

  /// Shape of the targets for a network with this output.
  const Shape& target_shape(const Shape& output) const { return kind == Kind::values && shape.rank() > 0 ? shape : output; }
  /// Whether the files must contain labels.
  bool stored() const { return kind == Kind::classes || kind == Kind::values; }
};

/// Rows that are held out of training for validation: the rows of all files, in order, are divided into blocks of ceil(rows / most_blocks) rows, and
/// round(fraction x blocks) of them, drawn with the seed, are held out. The choice depends on nothing else.
struct HeldOut {
  static constexpr std::int64_t most_blocks = 10000;
  double fraction = 0;
  std::uint64_t seed = 0;
};

class DataSet {
 public:
  /// Finds and describes the shards. Each rank opens some of them (10,000 shards are described in parallel), and all ranks share the result. Checks
  /// that all shards agree in sample shape (except for leading extents of 1) and types, and that they match `sample` (not checked if its rank is 0)
  /// and `labels` in number of elements and order of axes. Shards without rows may have any shape. Collective over `comm`. Throws data errors with
  /// the shard, and what was expected and found. Calls HDF5 on the calling thread: create data sets before the I/O thread starts. Rows of all shards
  /// are converted to the same moments: those of `names`, or else those of the first shard with rows; names() returns them.
  DataSet(const Communicator& comm, const std::string& where, const ShardNames& names, const Shape& sample, const LabelDemand& labels);

  /// Leaves only the rows that are held out, or only the others. At most one call. Not collective; throws a data error if either has no row.
  void select(const HeldOut& held_out, bool validation);

  std::int64_t size() const { return starts_.back(); }
  const std::vector<ShardInfo>& shards() const { return shards_; }
  const ShardNames& names() const { return names_; }
  const LabelDemand& labels() const { return labels_; }
  ElementType feature_type() const;
  ElementType label_type() const;
  std::int64_t feature_bytes() const;  // per sample
  std::int64_t label_bytes() const;    // 0 if no labels are read

  /// First row of shard s; starts()[shards().size()] == size().
  const std::vector<std::int64_t>& starts() const { return starts_; }
  /// Index of the shard that holds `row`.
  std::size_t shard_of(std::int64_t row) const;
  /// Where row `row` of shard `shard` (of the rows that are left by select()) lies in its file, and how many of the following rows follow it there, itself
  /// included.
  struct Place {
    std::int64_t file_row, count;
  };
  Place place(std::size_t shard, std::int64_t row) const;
  const std::string& where() const { return where_; }
  /// Whether rows are converted to other moments than those that they were stored with.
  bool changes_moments() const;
  /// Whether the features were standardized when the shards were created.
  bool standardized() const { return !stored_features_.mean.empty(); }

 private:
  const ShardInfo& reference() const { return shards_[reference_]; }
  void take_moments(const Communicator& comm);

  std::string where_;
  ShardNames names_;
  Moments stored_features_, stored_labels_;  // of the first shard with rows
  LabelDemand labels_;
  std::vector<ShardInfo> shards_;
  std::vector<std::int64_t> starts_{0};
  struct Run {
    std::int64_t row, file_row;  // of the shard: number among the selected rows, and in the file
  };
  std::vector<std::vector<Run>> runs_;  // by shard, ascending; empty: all rows of all shards
  std::size_t reference_ = 0;           // the first shard with rows
};

}  // namespace trireme
