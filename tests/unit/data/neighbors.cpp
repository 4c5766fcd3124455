// The stream shares its I/O thread and the process' files with others.
#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>

#include "data/row_loader.hpp"
#include "made_shards.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

int open_files_below(const std::filesystem::path& folder) {
  int n = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    n += std::filesystem::read_symlink(entry.path(), ignored).string().starts_with(folder.string() + "/");
  }
  return n;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(neighbours)

BOOST_AUTO_TEST_CASE(three_hundred_shards_take_few_open_files) {
  const Communicator self(MPI_COMM_SELF);
  const TemporaryDirectory folder(self);
  const MadeShards made;
  std::vector<std::int64_t> sizes;
  for (int s = 0; s < 300; ++s) sizes.push_back(s % 7);
  make_shards(folder.path(), sizes, made);
  const DataSet data(self, folder.path().string(), ShardNames{}, Shape{3}, made.demand());
  BOOST_REQUIRE(data.shards().size() == 300u);
  int most = 0;
  {
    IoThread io;
    BatchStream::Options options;
    options.batch = 16, options.chunk = 2, options.window = 400;
    BatchStream stream(data, io, options);
    stream.seek(0, 0);
    std::vector<int> met(static_cast<std::size_t>(data.size()));
    for (std::int64_t b = 0; b < 2 * stream.batches(); ++b) {
      for (const std::int64_t row : rows_of(stream.next(), made)) ++met[static_cast<std::size_t>(row)];
      most = std::max(most, io.run([&] { return open_files_below(folder.path()); }));
    }
    for (const int n : met) BOOST_TEST(n == 2);
  }
  BOOST_TEST(most > 1);
  BOOST_TEST(most <= static_cast<int>(RowLoader::most_open_files));
  BOOST_TEST(open_files_below(folder.path()) == 0);  // a stream that ended holds none
}

BOOST_AUTO_TEST_CASE(others_get_their_turn_and_reading_ahead_outlasts_them) {
  const Communicator self(MPI_COMM_SELF);
  const TemporaryDirectory folder(self);
  for (const std::int64_t elements : {3, 30000}) {
    for (const std::int64_t cache : {0, 1 << 30}) {
      MadeShards made;
      made.elements = elements;
      make_shards(folder.path(), {60, 60}, made);
      const DataSet data(self, folder.path().string(), ShardNames{}, Shape{elements}, made.demand());
      IoThread io;
      BatchStream::Options options;
      options.batch = 12, options.chunk = 6, options.window = 24, options.cache_bytes = cache;
      BatchStream stream(data, io, options);
      stream.seek(0, 0);
      // Nobody takes batches, so the stream is full at some time; what others queue runs all the same.
      auto other = io.submit([] { return 42; });
      BOOST_REQUIRE((other.wait_for(std::chrono::seconds(30)) == std::future_status::ready));
      BOOST_TEST(other.get() == 42);
      for (std::int64_t before = -1; before != stream.bytes_read();) {
        before = stream.bytes_read();
        for (int i = 0; i < 20; ++i) io.run([] {});
      }
      // A long checkpoint: the two windows that are there can be used up meanwhile.
      std::promise<void> over;
      auto checkpoint = io.submit([&] { over.get_future().wait(); });
      for (int b = 0; b < 4; ++b) rows_of(stream.next(), made);
      over.set_value();
      checkpoint.get();
      for (int b = 0; b < 20; ++b) rows_of(stream.next(), made);
    }
  }
}

BOOST_AUTO_TEST_CASE(only_waiting_counts_as_waiting) {
  const Communicator self(MPI_COMM_SELF);
  const TemporaryDirectory folder(self);
  const MadeShards made;
  make_shards(folder.path(), {40}, made);
  const DataSet data(self, folder.path().string(), ShardNames{}, Shape{3}, made.demand());
  IoThread io;
  BatchStream::Options options;
  options.batch = 8;
  BatchStream stream(data, io, options);
  std::promise<void> over;
  auto blocked = io.submit([&] { over.get_future().wait_for(std::chrono::milliseconds(60)); });
  stream.seek(0, 0);
  stream.next();  // waits behind the other work
  const double first = stream.waited();
  BOOST_TEST(first > 0.03);
  for (int i = 0; i < 20; ++i) io.run([] {});
  std::this_thread::sleep_for(std::chrono::milliseconds(60));  // compute
  for (int b = 1; b < 5; ++b) stream.next();
  BOOST_TEST(stream.waited() - first < 0.03);
}

BOOST_AUTO_TEST_CASE(a_stream_may_end_at_any_time) {
  const Communicator self(MPI_COMM_SELF);
  const TemporaryDirectory folder(self);
  const MadeShards made;
  make_shards(folder.path(), {400, 300}, made);
  const DataSet data(self, folder.path().string(), ShardNames{}, Shape{3}, made.demand());
  IoThread io;
  for (int steps = 0; steps < 12; ++steps) {
    BatchStream::Options options;
    options.batch = 20, options.chunk = 8, options.window = 60;
    BatchStream stream(data, io, options);
    if (steps == 0) continue;
    stream.seek(0, steps);
    for (int b = 1; b < steps; ++b) stream.next();
    stream.seek(1, 0);
    stream.seek(2, 3);
  }
  BOOST_TEST(io.run([] { return 1; }) == 1);
}

BOOST_AUTO_TEST_SUITE_END()
