// The two contests of trireme bench io.
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

/// Seconds of the runs of both sides.
struct Contest {
  std::vector<double> plain, trireme;
  /// Medians as rates of `bytes`, their ratio, and what it should be.
  nlohmann::json json(const std::string& what, std::int64_t bytes, double goal) const;
};

/// Shards of its own, read plainly and shuffled; both sides deliver each row once.
class ReadingBench {
 public:
  /// Writes shards of `bytes` together into `folder`; with gzip > 0 in chunks of 64 rows. Collective.
  ReadingBench(const Communicator& comm, const std::filesystem::path& folder, std::int64_t bytes, int gzip);
  /// Removes them.
  ~ReadingBench();
  ReadingBench(const ReadingBench&) = delete;
  ReadingBench& operator=(const ReadingBench&) = delete;

  /// Of the rows.
  std::int64_t bytes() const { return rows_ * bench_row_bytes; }
  /// With `cold` the files leave the page cache before each run. Collective.
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

/// A checkpoint of about `bytes` of state written by all ranks, and dd with conv=fsync of as many. `written`: bytes of
/// the arrays. Collective.
Contest checkpoint_contest(const Communicator& comm, const std::filesystem::path& folder, std::int64_t bytes, int runs,
                           std::int64_t& written);

}  // namespace trireme
