// What is wrong in a shard comes out of next() as a data error that names the shard, the row in it and what was found.
#include <fcntl.h>
#include <unistd.h>

#include "made_shards.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

/// Runs one epoch; returns the message of the error that must come. `before_reading` is called when the data set is
/// described.
std::string message_of(const MadeShards& made, const std::vector<std::int64_t>& sizes, bool cached, bool shuffle,
                       const std::function<void(const std::filesystem::path&)>& before_reading = nullptr) {
  const Communicator self(MPI_COMM_SELF);
  const TemporaryDirectory folder(self);
  make_shards(folder.path(), sizes, made);
  const DataSet data(self, folder.path().string(), ShardNames{}, Shape{made.elements}, made.demand());
  if (before_reading) before_reading(folder.path());
  IoThread io;
  BatchStream::Options options;
  options.batch = 8, options.chunk = 4, options.window = 16, options.order = shuffle ? BatchStream::Order::shuffled : BatchStream::Order::blocks,
  options.cache_bytes = cached ? 1 << 30 : 0;
  BatchStream stream(data, io, options);
  stream.seek(0, 0);
  try {
    for (std::int64_t b = 0; b < stream.batches(); ++b) stream.next();
  } catch (const Error& error) {
    BOOST_TEST((error.code() == ExitCode::data));
    BOOST_CHECK_THROW(stream.next(), Error);  // and again, until the next seek
    return error.what();
  }
  BOOST_ERROR("no error came");
  return "";
}

void check_words(const std::string& message, const std::vector<std::string>& wanted) {
  for (const std::string& word : wanted) BOOST_TEST(message.find(word) != std::string::npos, "'" << word << "' is missing in: " << message);
}

/// Spoils one number: row `row`, element `element` (-1: label).
MadeShards spoilt(ElementType features, ElementType labels, std::int64_t row, std::int64_t element, double value) {
  MadeShards made;
  made.feature_type = features;
  made.label_type = labels;
  made.spoil = [=](std::int64_t r, std::int64_t e, double number) { return r == row && e == element ? value : number; };
  return made;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(broken_rows)

BOOST_AUTO_TEST_CASE(labels_out_of_range) {
  RandomStream random(41);
  const std::vector<std::int64_t> sizes{20, 0, 30, 25};
  struct {
    ElementType type;
    double value;
    const char* text;
  } const cases[] = {{ElementType::i64, 7, "7"},
                     {ElementType::i64, -1, "-1"},
                     {ElementType::u8, 255, "255"},
                     {ElementType::i8, -128, "-128"},
                     {ElementType::i32, 1e9, "1000000000"},
                     {ElementType::u64, 5e18, "5000000000000000000"},
                     {ElementType::f32, 7, "7"},
                     {ElementType::f32, 2.5, "2.5"},
                     {ElementType::f64, -0.5, "-0.5"},
                     {ElementType::f64, std::numeric_limits<double>::quiet_NaN(), "nan"},
                     {ElementType::f32, 1e30, "e+30"}};
  for (const auto& c : cases) {
    const auto row = static_cast<std::int64_t>(20 + random.below(30));  // in shard 2
    const std::string message = message_of(spoilt(ElementType::i32, c.type, row, -1, c.value), sizes, random.below(2), random.below(2));
    check_words(message, {"shard_0002.h5", "row " + std::to_string(row - 20) + " ", "'/y'", c.text, "from 0 to 6"});
  }
}

BOOST_AUTO_TEST_CASE(numbers_that_are_not_finite) {
  RandomStream random(42);
  const std::vector<std::int64_t> sizes{20, 0, 30, 25};
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double value : {std::numeric_limits<double>::quiet_NaN(), infinity, -infinity})
    for (const auto type : {ElementType::f32, ElementType::f64}) {
      const auto row = static_cast<std::int64_t>(20 + random.below(30));
      const auto element = static_cast<std::int64_t>(random.below(3));
      const std::string what = std::isnan(value) ? "NaN" : "infinity", in_shard = "row " + std::to_string(row - 20) + " ";
      check_words(message_of(spoilt(type, ElementType::i64, row, element, value), sizes, random.below(2), random.below(2)),
                  {"shard_0002.h5", in_shard, "'/x'", what, "value " + std::to_string(element) + " of 3"});
      MadeShards values = spoilt(ElementType::f32, ElementType::f64, row, -1, value);
      values.classes = 0;
      check_words(message_of(values, sizes, random.below(2), random.below(2)), {"shard_0002.h5", in_shard, "'/y'", what});
    }
}

BOOST_AUTO_TEST_CASE(largest_finite_numbers_are_legal) {
  const Communicator self(MPI_COMM_SELF);
  const TemporaryDirectory folder(self);
  MadeShards made;
  made.feature_type = ElementType::f32;
  made.spoil = [](std::int64_t, std::int64_t e, double number) {
    return e < 0 ? number : e % 2 ? -double{std::numeric_limits<float>::max()} : double{std::numeric_limits<float>::denorm_min()};
  };
  make_shards(folder.path(), {10}, made);
  const DataSet data(self, folder.path().string(), ShardNames{}, Shape{made.elements}, made.demand());
  IoThread io;
  BatchStream::Options options;
  options.batch = 10;
  BatchStream stream(data, io, options);
  stream.seek(0, 0);
  BOOST_TEST(stream.next().count == 10);
}

BOOST_AUTO_TEST_CASE(shards_that_change_after_they_were_described) {
  const std::vector<std::int64_t> sizes{200, 300, 250};
  for (const bool cached : {false, true}) {
    const auto cut = [](const std::filesystem::path& folder) {
      std::filesystem::resize_file(folder / "shard_0001.h5", std::filesystem::file_size(folder / "shard_0001.h5") / 2);
    };
    check_words(message_of(MadeShards{}, sizes, cached, true, cut), {"shard_0001.h5"});
    const auto remove = [](const std::filesystem::path& folder) { std::filesystem::remove(folder / "shard_0002.h5"); };
    check_words(message_of(MadeShards{}, sizes, cached, false, remove), {"shard_0002.h5"});
  }
}

BOOST_AUTO_TEST_CASE(batches_before_the_fault_are_given_and_seek_goes_around_it) {
  const Communicator self(MPI_COMM_SELF);
  const TemporaryDirectory folder(self);
  const MadeShards made = spoilt(ElementType::f32, ElementType::i64, 65, 1, std::numeric_limits<double>::quiet_NaN());
  make_shards(folder.path(), {50, 50}, made);
  const DataSet data(self, folder.path().string(), ShardNames{}, Shape{3}, made.demand());
  IoThread io;
  BatchStream::Options options;
  options.batch = 5, options.window = 20, options.order = BatchStream::Order::blocks;
  BatchStream stream(data, io, options);
  for (int pass = 0; pass < 2; ++pass) {
    stream.seek(0, 0);
    for (int b = 0; b < 12; ++b) BOOST_TEST(rows_of(stream.next(), made).front() == 5 * b);  // three windows of four batches
    BOOST_CHECK_THROW(stream.next(), Error);
    stream.seek(0, 16);
    for (int b = 16; b < 20; ++b) BOOST_TEST(rows_of(stream.next(), made).front() == 5 * b);
  }
}

BOOST_AUTO_TEST_SUITE_END()
