// Batches of one rank, read ahead by the I/O thread: rows of shards -> window buffers, in long reads. A batch points to its samples in these buffers,
// in the stored type. The consumer casts from there, so each row is copied only once.
//
// Two windows are in memory: batches are made from one while the other is read. The I/O thread's queue holds one short task at a time (some MiB).
// Each task queues the next one when it is done and never waits, so other queued work, such as a checkpoint, runs in between. Meanwhile next()
// returns batches of the windows in memory.
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
  std::int64_t index = 0;                         // number of the batch within the epoch
  std::int64_t global_count = 0;                  // samples of the whole batch
  std::int64_t first = 0;                         // position of this rank's first sample within the batch
  std::int64_t count = 0;                         // samples of this rank; may be 0
  std::int64_t first_row = 0;                     // blocks: row in the data set of the first sample, if count > 0
  std::span<const std::byte* const> features;     // per sample: DataSet::feature_bytes() bytes of feature_type(), or of the slab
  std::span<const std::int32_t> classes;          // LabelDemand::classes: count labels, checked against the number of classes
  std::span<const std::byte* const> values;       // LabelDemand::values, per sample: label_bytes() bytes of label_type(), or of the slab
  bool feature_slab = false, label_slab = false;  // samples hold only Options::slab, label_slab: (channels, box)
};

class BatchStream {
 public:
  enum class Order {
    shuffled,  // new random order in every epoch; each rank has its share of each batch
    stored,    // the order of the stored rows in every epoch; each rank has its share of each batch
    blocks     // rank r has one contiguous block of rows and reads it once, in order (evaluation, prediction)
  };
  struct Options {
    std::int64_t batch = 0;          // global batch
    int rank = 0, ranks = 1;         // coordinate on the data axis, and the length of that axis
    std::int64_t most = 0;           // maximum samples of a batch that set_shares() may give this rank; 0: shares stay even
    std::int64_t virtual_ranks = 0;  // number of virtual ranks: each rank has the samples of its virtual ranks. 0: off. Not with blocks, and not with `most`
    Order order = Order::shuffled;
    std::uint64_t seed = 0;  // of the order
    std::int64_t chunk = 0;  // rows shuffled together as one chunk; 0: about 1 MiB of rows, a power of two
    /// Rows per window, within which single rows are shuffled (sampler.hpp); 0: about 32 MiB of rows, at least two batches. If both are 0, a data set
    /// of at most 64 MiB is one window and is shuffled freely.
    std::int64_t window = 0;
    /// Every rank keeps a data set of at most this size in memory. Has no effect on the order.
    std::int64_t cache_bytes = 0;

    /// The part of each sample that is read: this box of its extents, all channels. `sample` is the shape of the model's input, (channels,
    /// extents...), in which the box lies. The rows of a batch do not depend on the box. Empty: whole samples.
    std::optional<Box> slab = {};
    Shape sample = {};
    /// The same for labels that are values of the output's shape.
    std::optional<Box> label_slab = {};
    Shape label = {};
    /// Only these are read; others are empty in the batches.
    bool features = true, labels = true;
    /// Rules for the values of features, and of labels that are values.
    ValueRule feature_rule = {}, label_rule = {};
    /// Number of retries after a read error that may be temporary.
    int retries = usual_retries;
    /// Whether HDF5 compares chunks with their checksums, if they have any.
    bool verify = true;
  };
  /// The effective values that determine the order, besides rows, batch and seed. `whole`: all rows are one window.
  struct ShuffleOrder {
    std::int64_t chunk, window;
    bool whole;
  };
  static ShuffleOrder shuffle_order(const DataSet& data, const Options& options);

  /// Not collective. `data` and `io` must outlive the stream.
  BatchStream(const DataSet& data, IoThread& io, const Options& options);
  ~BatchStream();

  /// Batches per epoch: ceil(size / batch); the last one may be smaller. (blocks: the maximum over all ranks.)
  std::int64_t batches() const;
  /// Largest share of a batch that next() may return on this rank.
  std::int64_t largest_share() const;
  /// Sets the position: next() returns batch `index` of `epoch` and all that follow. The next epoch follows automatically; with blocks, batches with
  /// count 0 follow after the last row until the next seek. Starts reading ahead, or continues it if the stream is already at this position. An
  /// `index` beyond the epoch's batches means a later epoch. Invalidates earlier results of next().
  void seek(std::int64_t epoch, std::int64_t index);
  /// Sets uneven shares: rank r has counts[r] samples of each whole batch; the sum of the counts is the batch. If the data set is cached, the shares
  /// apply from batch `index` of `epoch` on, which no rank may have received yet; otherwise from the second window after that batch's window, which
  /// no rank can be reading yet. The samples of each batch do not change. All ranks must pass the same values, each between any two calls of next().
  /// Not with blocks. Not collective.
  void set_shares(std::vector<std::int64_t> counts, std::int64_t epoch, std::int64_t index);
  /// Waits for the next batch. The batch and its rows are valid until the next call. Throws the errors of the I/O thread (a damaged shard, a label
  /// out of range, NaN in float features: data errors with shard and row) after the batches before them.
  const HostBatch& next();
  /// Maximum bytes of rows, and of their order, in this stream.
  std::int64_t memory() const;
  /// Seconds that next() has waited so far.
  double waited() const;
  /// Bytes requested from files so far.
  std::int64_t bytes_read() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace trireme
