// Batches for one rank, read ahead by the I/O thread: rows of shards -> window buffers, in long reads. A batch says where in
// them its samples lie, in the type that the file has; whoever takes it casts them from there, so that a row is copied once.
//
// Two windows are in memory: one that batches are made of, one that is being read. The I/O thread's queue gets one
// short piece of work at a time (some MiB read), which queues the next when it is done and never waits: whatever else is
// queued, a checkpoint say, comes in between. While that lasts, next() gives batches of the windows that are there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/box.hpp"
#include "data/data_set.hpp"
#include "data/value_check.hpp"
#include "io/io_thread.hpp"
#include "io/retry.hpp"

namespace trireme {

/// This rank's share of one global batch.
struct HostBatch {
  std::int64_t epoch = 0;
  std::int64_t index = 0;         // batch within the epoch
  std::int64_t global_count = 0;  // samples of the whole batch
  std::int64_t first = 0;         // place of this rank's first sample within the batch
  std::int64_t count = 0;         // samples of this rank; may be 0
  std::int64_t first_row = 0;     // blocks: row of the data set of the first sample, where count > 0
  std::span<const std::byte* const> features;  // of each sample: DataSet::feature_bytes() bytes of feature_type(), or of the slab
  std::span<const std::int32_t> classes;       // LabelDemand::classes: count labels, checked against the number of classes
  std::span<const std::byte* const> values;    // LabelDemand::values, of each sample: label_bytes() bytes of label_type(), or of the slab
  bool feature_slab = false, label_slab = false;  // each sample is Options::slab, label_slab of it only: (channels, box)
};

class BatchStream {
 public:
  enum class Order {
    shuffled,  // every epoch in a new random order; each rank has its share of each batch
    stored,    // every epoch in the order of the shards' rows; shares likewise
    blocks     // rank r owns one contiguous block of rows and takes it in order, once (evaluation, prediction)
  };
  struct Options {
    std::int64_t batch = 0;   // global batch
    int rank = 0, ranks = 1;  // this coordinate on the data axis, and the axis' length
    std::int64_t most = 0;    // samples of a batch that set_shares() may give this rank; 0: shares stay even
    std::int64_t lanes = 0;   // more than 0: each rank has the samples of its share of so many even slices of a batch. Not of blocks, and not with `most`
    Order order = Order::shuffled;
    std::uint64_t seed = 0;   // of the order
    std::int64_t chunk = 0;   // rows shuffled together as one block; 0: about 1 MiB of rows, a power of two
    /// Rows inside which single rows are shuffled (sampler.hpp); 0: about 32 MiB of rows, at least two batches. Where both are 0, a data set of at most 64 MiB is
    /// one window, and shuffled freely.
    std::int64_t window = 0;
    /// A data set no larger than this is kept in memory by every rank. It decides nothing of the order.
    std::int64_t cache_bytes = 0;

    /// What of each sample is read: this box of its extents, all channels. `sample` is the model's input, (channels, extents...), which the
    /// box is cut out of. Which rows form a batch does not depend on it. Nothing: all.
    std::optional<Box> slab = {};
    Shape sample = {};
    /// The same of labels that are values of the output's shape.
    std::optional<Box> label_slab = {};
    Shape label = {};
    /// What is not wanted is not read, and empty in the batches.
    bool features = true, labels = true;
    /// What numbers of features, and of labels that are values, must be.
    ValueRule feature_rule = {}, label_rule = {};
    /// How often a read that met an error that may pass is tried again.
    int retries = usual_retries;
    /// Whether HDF5 compares the chunks that have checksums with these.
    bool verify = true;
  };
  /// What decides the order beside rows, batch and seed, as in force. `whole`: all rows are one window.
  struct ShuffleOrder {
    std::int64_t chunk, window;
    bool whole;
  };
  static ShuffleOrder shuffle_order(const DataSet& data, const Options& options);

  /// Not collective. `data` and `io` outlive the stream.
  BatchStream(const DataSet& data, IoThread& io, const Options& options);
  ~BatchStream();

  /// Batches of one epoch: ceil(size / batch); the last may be smaller. (Blocks: the most that any rank needs.)
  std::int64_t batches() const;
  /// Largest share of a batch that any call of next() gives to this rank.
  std::int64_t largest_share() const;
  /// From now on next() gives batch `index` of `epoch` and what follows. The next epoch follows by itself; of blocks, after the last row come batches with count 0 without end, until the next seek. Reading ahead starts;
  /// it goes on undisturbed where the stream stands there already. An `index` past the epoch's batches means the epochs
  /// that follow. What next() gave before is no longer valid.
  void seek(std::int64_t epoch, std::int64_t index);
  /// Uneven shares: rank r has counts[r] samples of each whole batch; the counts sum to the batch. In force from batch `index` of `epoch` on, which no
  /// rank has been given yet, where the data set is cached, else from the second window after that one's, which no rank can have begun to read. Which samples
  /// form a batch stays the same. All ranks say the same, between two calls of next() that need not be the same ones. Not of blocks. Not collective.
  void set_shares(std::vector<std::int64_t> counts, std::int64_t epoch, std::int64_t index);
  /// Waits for the next batch; it and its rows stay valid until the call after. Errors met by the I/O thread (a broken shard, a
  /// label out of range, a NaN in float features: data errors that name shard and row) are thrown here, after the
  /// batches before them.
  const HostBatch& next();
  /// Bytes of rows, and of the order they come in, that this stream keeps at most.
  std::int64_t memory() const;
  /// Seconds that next() has waited so far.
  double waited() const;
  /// Bytes asked of files so far.
  std::int64_t bytes_read() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace trireme
