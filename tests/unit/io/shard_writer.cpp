// Shards that are written are read back the same, and appear only when they are whole.
#include <boost/test/unit_test.hpp>

#include "h5_files.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;
namespace fs = std::filesystem;

namespace {

std::vector<std::byte> random_bytes(RandomStream& random, std::size_t n) {
  std::vector<std::byte> bytes(n);
  for (auto& b : bytes) b = static_cast<std::byte>(random.below(256));
  return bytes;
}

Shape random_shape(RandomStream& random, std::uint64_t largest_rank) {
  Shape shape;
  for (std::uint64_t rank = random.below(largest_rank + 1); rank > 0; --rank) shape = shape.with_first(static_cast<std::int64_t>(2 + random.below(5)));
  return shape;
}

void append_all(ShardWriter& writer, std::int64_t rows, std::span<const std::byte> x, std::span<const std::byte> y, std::int64_t block) {
  const auto part = [&](std::span<const std::byte> bytes, std::int64_t first, std::int64_t count) {
    const std::size_t row = bytes.size() / static_cast<std::size_t>(rows);
    return bytes.subspan(static_cast<std::size_t>(first) * row, static_cast<std::size_t>(count) * row);
  };
  for (std::int64_t first = 0; first < rows; first += block) {
    const std::int64_t count = std::min(block, rows - first);
    writer.append(part(x, first, count), part(y, first, count));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(shard_writer)

BOOST_AUTO_TEST_CASE(round_trip) {
  const TemporaryDirectory folder;
  RandomStream random(21);
  for (int trial = 0; trial < 120; ++trial) {
    const fs::path path = folder / "s.h5";
    ShardWriter::Options options;
    options.names = {trial % 2 == 0 ? "/x" : "/group/images", "/y"};
    options.sample = random_shape(random, 4);
    options.label = random_shape(random, 2);
    options.feature_type = static_cast<ElementType>(random.below(10));
    options.label_type = static_cast<ElementType>(random.below(10));
    options.has_labels = random.below(4) > 0;
    options.gzip = static_cast<int>(random.below(2) * (1 + random.below(9)));
    options.chunk_rows = static_cast<std::int64_t>(1 + random.below(50));
    const std::int64_t rows = random.below(6) == 0 ? 0 : static_cast<std::int64_t>(1 + random.below(60));
    const auto n = static_cast<std::size_t>(rows);
    const auto x = random_bytes(random, n * static_cast<std::size_t>(options.sample.size()) * size_of(options.feature_type));
    const auto y = random_bytes(random, options.has_labels ? n * static_cast<std::size_t>(options.label.size()) * size_of(options.label_type) : 0);
    {
      ShardWriter writer(path, rows, options);
      append_all(writer, rows, x, y, static_cast<std::int64_t>(1 + random.below(20)));
      writer.finish();
    }
    ShardNames names = options.names;
    if (!options.has_labels) names.labels.clear();
    const ShardInfo info = describe_shard(path.string(), names);
    BOOST_REQUIRE(info.rows == rows);
    BOOST_REQUIRE((info.sample == options.sample));
    BOOST_REQUIRE((info.feature_type == options.feature_type));
    ShardReader reader(info, names);
    std::vector<std::byte> back(x.size());
    reader.read_features(0, rows, back);
    BOOST_REQUIRE((back == x));
    if (!options.has_labels) continue;
    BOOST_REQUIRE((info.label == options.label));
    BOOST_REQUIRE((info.label_type == options.label_type));
    back.resize(y.size());
    reader.read_labels(0, rows, back);
    BOOST_REQUIRE((back == y));
  }
  BOOST_TEST(names_in(folder.path()) == (std::vector<std::string>{"s.h5"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(compression_compresses) {
  const TemporaryDirectory folder;
  ShardWriter::Options options;
  options.sample = {1000};
  options.has_labels = false;
  const std::vector<std::byte> zeros(100 * 1000);
  for (const int gzip : {0, 4}) {
    options.gzip = gzip;
    ShardWriter writer(folder / (std::to_string(gzip) + ".h5"), 100, options);
    writer.append(zeros, {});
    writer.finish();
  }
  BOOST_TEST(fs::file_size(folder / "0.h5") >= zeros.size());
  BOOST_TEST(fs::file_size(folder / "4.h5") < zeros.size() / 10);
}

BOOST_AUTO_TEST_CASE(an_unfinished_shard_leaves_nothing_and_harms_nothing) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "s.h5";
  write_bytes(path, "what stood before");
  ShardWriter::Options options;
  options.sample = {10};
  {
    ShardWriter writer(path, 2, options);
    writer.append(std::vector<std::byte>(10), std::vector<std::byte>(8));
    BOOST_TEST(names_in(folder.path()).size() == 2u);  // the temporary file
    check_error([&] { writer.finish(); }, ExitCode::internal, {path.string(), "2 rows"});
  }
  BOOST_TEST(bytes_of(path) == "what stood before");
  BOOST_TEST(names_in(folder.path()).size() == 1u);
}

BOOST_AUTO_TEST_CASE(wrong_amounts_are_faults_of_the_caller) {
  const TemporaryDirectory folder;
  ShardWriter::Options options;
  options.sample = {10};
  ShardWriter writer(folder / "s.h5", 2, options);
  const std::vector<std::byte> bytes(100);
  const auto append = [&](std::size_t x, std::size_t y) { writer.append(std::span(bytes).first(x), std::span(bytes).first(y)); };
  check_error([&] { append(15, 8); }, ExitCode::internal, {"s.h5"});
  check_error([&] { append(10, 16); }, ExitCode::internal, {"s.h5"});
  check_error([&] { append(30, 24); }, ExitCode::internal, {"s.h5"});
  append(20, 16);
  check_error([&] { append(10, 8); }, ExitCode::internal, {"s.h5"});
  writer.finish();
}

BOOST_AUTO_TEST_CASE(a_missing_folder_is_said) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "no" / "s.h5";
  check_error([&] { ShardWriter(path, 2, {}); }, ExitCode::data, {path.string(), "No such file or directory"});
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_said_and_leaves_what_stood_before) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "s.h5";
  RandomStream random(22);
  ShardWriter::Options options;
  options.sample = {100};
  options.chunk_rows = 16;
  const auto x = random_bytes(random, 1000 * 100), y = random_bytes(random, 1000 * 8);
  const auto write = [&] {
    ShardWriter writer(path, 1000, options);
    append_all(writer, 1000, x, y, 100);
    writer.finish();
  };
  for (const int gzip : {0, 4}) {
    options.gzip = gzip;
    write();
    const std::string before = bytes_of(path);
    for (int trial = 0; trial < 12; ++trial) {
      {
        const FullDisk full(random.below(before.size()));
        check_error(write, ExitCode::data, {path.string(), "File too large", "Hint"});
      }
      BOOST_REQUIRE(bytes_of(path) == before);
      BOOST_REQUIRE(names_in(folder.path()).size() == 1u);
    }
    BOOST_CHECK_NO_THROW(write());  // HDF5 is not left in a state that it cannot work in
  }
}

BOOST_AUTO_TEST_SUITE_END()
