// The two comparisons of trireme bench io.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace trireme {

inline constexpr std::int64_t bench_row_bytes = 784;
inline constexpr std::int64_t bench_shards = 8;

/// Seconds of all repeats of both sides.
struct Contest {
  std::vector<double> plain, trireme;
  /// Medians as rates of `bytes`, their ratio, and the target of the ratio.
  nlohmann::json json(const std::string& what, std::int64_t bytes, double goal) const;
};

/// Reading of shards, plain and shuffled; both sides deliver each row once.
class ReadingBench {
 public:
  /// Writes shards with `bytes` in total to `folder`; with gzip > 0 in chunks of 64 rows. Collective.
  ReadingBench(const Communicator& comm, const std::filesystem::path& folder, std::int64_t bytes, int gzip);
  /// Removes the shards.
  ~ReadingBench();
  ReadingBench(const ReadingBench&) = delete;
  ReadingBench& operator=(const ReadingBench&) = delete;

  /// Bytes of the rows.
  std::int64_t bytes() const { return rows_ * bench_row_bytes; }
  /// With `cold` the files are dropped from the page cache before each repeat. Collective.
  Contest run(int runs, bool cold) const;

 private:
  void write(std::int64_t shard, int gzip) const;
  void forget() const;
  double read_plainly(std::uint64_t& sum) const;
  double read_shuffled(std::uint64_t seed, std::uint64_t& sum) const;

  const Communicator& comm_;
  std::filesystem::path folder_;
  std::int64_t rows_;
};

/// A checkpoint with about `bytes` of state, written by all ranks, compared with dd conv=fsync of the same size. `written`: bytes of the arrays. Collective.
Contest checkpoint_contest(const Communicator& comm, const std::filesystem::path& folder, std::int64_t bytes, int runs, std::int64_t& written);

}  // namespace trireme
