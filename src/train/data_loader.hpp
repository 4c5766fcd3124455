// Provides the training batches of each step and copies them to the device.
//
// Owns the training data set, the batch stream, the stager that converts batches to network inputs, and the prefetched batch.
#pragma once

#include <cstdint>
#include <exception>
#include <vector>

#include "data/batch_stream.hpp"
#include "network/network.hpp"
#include "train/batch_stager.hpp"
#include "train/run_context.hpp"

namespace trireme {

template <class T>
class DataLoader {
 public:
  /// Opens the data set of data.train. `run` and `network` must outlive the loader. Collective; throws data errors, and usage errors that name the key.
  DataLoader(RunContext& run, const Network<T>& network);

  const DataSet& data() const { return data_; }
  /// The order of samples and their division among the ranks.
  const BatchStream::Options& options() const { return options_; }
  std::int64_t batches() const { return stream_.batches(); }  // per epoch
  std::int64_t memory() const { return stream_.memory(); }    // bytes of cached or prefetched rows

  /// Continues at batch number `batch` of `epoch` and discards the prefetched batch. Not collective.
  void seek(std::int64_t epoch, std::int64_t batch);
  /// Waits for the next batch, which is valid until the next call. Throws data errors of the file system and of values. Not collective.
  const HostBatch& next();
  /// Waits for the batch that next() will return and starts its copy to the device, concurrently with running kernels. Errors are thrown by next(). Not
  /// collective.
  void prefetch();
  /// Writes this rank's part of the batch, cast and augmented, to `input` and returns its targets. Not collective.
  Targets<T> load(const Pass& pass, const HostBatch& batch, Span<T> input) { return stager_.load(pass, batch, input); }
  /// See BatchStream::set_shares. Every rank calls it with the same values. Not collective.
  void set_shares(const std::vector<std::int64_t>& shares, std::int64_t epoch, std::int64_t batch) { stream_.set_shares(shares, epoch, batch); }

 private:
  DataSet data_;
  BatchStream::Options options_;
  BatchStream stream_;
  BatchStager<T> stager_;
  bool stages_ahead_;  // the whole batch is one pass
  const HostBatch* prefetched_ = nullptr;
  std::exception_ptr prefetch_error_;
};

}  // namespace trireme
