// Compares the shuffled reader with plain H5Dread of the same files: one call per file into memory that is already allocated and contiguous. The consumer of
// both adds up one byte of each row; the equal sums also show that both have read the same rows.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/random.hpp"
#include "commands/bench.hpp"
#include "commands/bench_io.hpp"
#include "data/batch_stream.hpp"
#include "data/row_loader.hpp"
#include "data/sampler.hpp"
#include "io/shard.hpp"

namespace trireme {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t batch = 256;
constexpr std::int64_t block_rows = 64 * 84;  // rows per write: about 4 MiB in complete chunks

fs::path shard_path(const fs::path& folder, std::int64_t shard) { return folder / ("bench-" + std::to_string(shard) + ".h5"); }

std::uint64_t consume(std::span<const std::byte> rows) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < rows.size(); at += bench_row_bytes) sum += static_cast<std::uint64_t>(rows[at]);
  return sum;
}

std::uint64_t consume(std::span<const std::byte* const> rows) {
  std::uint64_t sum = 0;
  for (const std::byte* row : rows) sum += static_cast<std::uint64_t>(*row);
  return sum;
}

}  // namespace

ReadingBench::ReadingBench(const Communicator& comm, const fs::path& folder, std::int64_t bytes, int gzip)
    : comm_(comm), folder_(folder), rows_(std::max<std::int64_t>(bytes / bench_row_bytes, bench_shards)) {
  comm.together([&] {
    for (std::int64_t shard = comm.rank(); shard < bench_shards; shard += comm.size()) write(shard, gzip);
  });
}

ReadingBench::~ReadingBench() {
  std::error_code ignored;
  if (comm_.rank() == 0)
    for (std::int64_t shard = 0; shard < bench_shards; ++shard) fs::remove(shard_path(folder_, shard), ignored);
}

void ReadingBench::write(std::int64_t shard, int gzip) const {
  const Share share = share_of(rows_, static_cast<int>(shard), static_cast<int>(bench_shards));
  ShardWriter::Options options;
  options.sample = Shape{bench_row_bytes};
  options.has_labels = false;
  options.gzip = gzip;
  options.checksums = false;  // measures reading without checksums
  ShardWriter writer(shard_path(folder_, shard), share.count, options);
  // Similar to images: one byte in five is not zero, so that gzip has about the same work.
  RandomStream random(1, static_cast<std::uint64_t>(shard));
  std::vector<std::byte> block(static_cast<std::size_t>(block_rows * bench_row_bytes));
  for (std::size_t i = 0; i < block.size(); i += 5) block[i] = static_cast<std::byte>(random.bits());
  for (std::int64_t done = 0; done < share.count; done += block_rows) {
    const std::int64_t count = std::min(block_rows, share.count - done);
    writer.append(std::span(block).first(static_cast<std::size_t>(count * bench_row_bytes)), {});
  }
  writer.finish();
}

void ReadingBench::forget() const {
  if (comm_.rank() == 0)
    for (std::int64_t shard = 0; shard < bench_shards; ++shard) {
      const int file = ::open(shard_path(folder_, shard).c_str(), O_RDONLY | O_CLOEXEC);
      if (file < 0) continue;
      ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
      ::close(file);
    }
  comm_.barrier();
}

double ReadingBench::read_plainly(std::uint64_t& sum) const {
  const Share mine = share_of(rows_, comm_.rank(), comm_.size());
  const PageArray<std::byte> memory(share_of(rows_, 0, static_cast<int>(bench_shards)).count * bench_row_bytes);
  std::fill_n(memory.get(), share_of(rows_, 0, static_cast<int>(bench_shards)).count * bench_row_bytes, std::byte{0});
  return timed(comm_, [&] {
    for (std::int64_t shard = 0; shard < bench_shards; ++shard) {
      const Share share = share_of(rows_, static_cast<int>(shard), static_cast<int>(bench_shards));
      const std::int64_t first = std::max(mine.first, share.first), end = std::min(mine.first + mine.count, share.first + share.count);
      if (first >= end) continue;
      const std::string path = shard_path(folder_, shard).string();
      const h5::File file = h5::open_file(path, "shard", ExitCode::data);
      const h5::Dataset dataset(TRIREME_H5(H5Dopen2(file, "x", H5P_DEFAULT), path));
      const h5::Space space(TRIREME_H5(H5Dget_space(dataset), path));
      const hsize_t start[2] = {static_cast<hsize_t>(first - share.first), 0}, size[2] = {static_cast<hsize_t>(end - first), bench_row_bytes};
      TRIREME_H5(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, nullptr, size, nullptr), path);
      const h5::Space target(TRIREME_H5(H5Screate_simple(2, size, nullptr), path));
      TRIREME_H5(H5Dread(dataset, H5T_NATIVE_UINT8, target, space, H5P_DEFAULT, memory.get()), path);
      sum += consume({memory.get(), static_cast<std::size_t>((end - first) * bench_row_bytes)});
    }
  });
}

double ReadingBench::read_shuffled(std::uint64_t seed, std::uint64_t& sum) const {
  const DataSet data(comm_, folder_.string(), {"/x", ""}, Shape{bench_row_bytes}, {});
  IoThread io;
  BatchStream stream(data, io, {.batch = batch, .rank = comm_.rank(), .ranks = comm_.size(), .seed = seed});
  const auto epoch = [&] {
    sum = 0;
    for (std::int64_t b = 0; b < stream.batches(); ++b) sum += consume(stream.next().features);
  };
  // Reads as training does: the second epoch of a continuing stream. The rows that are prefetched before the start of the measurement balance those that
  // are prefetched at its end.
  stream.seek(0, 0);
  comm_.together(epoch);
  return timed(comm_, epoch);
}

Contest ReadingBench::run(int runs, bool cold) const {
  Contest contest;
  for (int i = -1; i < runs; ++i) {  // the first run is a warmup
    std::uint64_t plain_sum = 0, shuffled_sum = 0;
    if (cold) forget();
    const double plain = read_plainly(plain_sum);
    if (cold) forget();
    const double shuffled = read_shuffled(static_cast<std::uint64_t>(i + 2), shuffled_sum);
    if (const std::uint64_t expected = comm_.all_reduce(static_cast<std::int64_t>(plain_sum)),
        found = comm_.all_reduce(static_cast<std::int64_t>(shuffled_sum));
        expected != found)
      throw internal_error("bench io: the shuffled reader and H5Dread read different rows (checksums {} and {})", found, expected);
    if (i < 0) continue;
    contest.plain.push_back(plain);
    contest.trireme.push_back(shuffled);
  }
  return contest;
}

}  // namespace trireme
