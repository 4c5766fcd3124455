// Writes the samples of a source as shards, in parallel: each rank streams the source and writes the shards dealt to
// it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "comm/communicator.hpp"
#include "io/importers/sample_source.hpp"

namespace trireme {

struct ShardJob {
  std::filesystem::path out;  // DIR; the shards go to DIR/train and DIR/test
  std::string name;           // DIR/train/NAME-0000.h5
  PerPart<std::int64_t> shards{1, 1};
  int gzip = 0;
  bool contiguous = false;  // no chunks, and so no Fletcher32: only the checksum of each whole data set
  bool force = false;  // replace shards that stand in DIR
};

struct ShardReport {
  PerPart<std::int64_t> samples{0, 0};
  PerPart<std::int64_t> shards{0, 0};
  std::int64_t bytes = 0;  // of all files
};

/// Refuses, with a usage error, when DIR/train or DIR/test already hold shards and `force` is not given. Worth calling
/// before a source is read. Collective.
void require_free(const Communicator& comm, const ShardJob& job);

/// Shard s of S holds the samples [n s / S, n (s + 1) / S). They are made beside their place, and put there when all
/// are whole: on an error, thrown on all ranks, what stood there before still stands. Collective.
ShardReport write_shards(const Communicator& comm, const SampleSource& source, const ShardJob& job);

}  // namespace trireme
