// Writes the samples of a source as shards, in parallel: each rank reads the source and writes its share of the shards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "comm/communicator.hpp"
#include "io/importers/sample_source.hpp"

namespace trireme {

struct ShardJob {
  std::filesystem::path out;  // DIR; shards are written to DIR/train and DIR/test
  std::string name;           // DIR/train/NAME-0000.h5
  PerPart<std::int64_t> shards{1, 1};
  int gzip = 0;
  bool contiguous = false;  // no chunks, and so no Fletcher32: only one checksum per data set
  bool force = false;       // replace existing shards in DIR
};

struct ShardReport {
  PerPart<std::int64_t> samples{0, 0};
  PerPart<std::int64_t> shards{0, 0};
  std::int64_t bytes = 0;  // of all files
};

/// Throws a usage error if DIR/train or DIR/test contain shards and `force` is not set. Call it before reading the source. Collective.
void require_free(const Communicator& comm, const ShardJob& job);

/// Shard s of S contains the samples [n s / S, n (s + 1) / S). Shards are written to a temporary folder next to their destination and moved when all are
/// complete; after an error, which is thrown on all ranks, existing shards are unchanged. Collective.
ShardReport write_shards(const Communicator& comm, const SampleSource& source, const ShardJob& job);

}  // namespace trireme
