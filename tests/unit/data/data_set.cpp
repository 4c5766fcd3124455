// A data set is the same on every rank, whoever opened which shard, and so are its errors.
#include "data/data_set.hpp"

#include "made_shards.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

/// Makes shards by rank 0, each by `make(folder)`.
template <class Make>
void make_on_one(const TemporaryDirectory& folder, Make make) {
  const Communicator world = Communicator::world();
  if (world.rank() == 0) make(folder.path());
  world.barrier();
}

ShardWriter::Options options_of(const Shape& sample, ElementType type, const Shape& label = {}, ElementType label_type = ElementType::i64) {
  ShardWriter::Options options;
  options.sample = sample;
  options.feature_type = type;
  options.label = label;
  options.label_type = label_type;
  return options;
}

void write_zeros(const std::filesystem::path& path, std::int64_t rows, const ShardWriter::Options& options) {
  ShardWriter writer(path, rows, options);
  const std::vector<std::byte> features(static_cast<std::size_t>(rows * options.sample.size()) * size_of(options.feature_type));
  const std::vector<std::byte> labels(options.has_labels ? static_cast<std::size_t>(rows * options.label.size()) * size_of(options.label_type) : 0);
  writer.append(features, labels);
  writer.finish();
}

/// The error of a data set, after checking that all ranks throw the same.
std::string message_of(const std::string& where, const Shape& sample, const LabelDemand& demand) {
  const Communicator world = Communicator::world();
  std::string message;
  try {
    const DataSet data(world, where, ShardNames{}, sample, demand);
  } catch (const Error& error) {
    BOOST_TEST((error.code() == ExitCode::data));
    message = error.what();
  }
  BOOST_TEST(!message.empty(), "an error must come");
  const std::vector<char> all = world.all_gather(std::span<const char>(message));
  std::string repeated;
  for (int r = 0; r < world.size(); ++r) repeated += message;
  BOOST_TEST(std::string(all.begin(), all.end()) == repeated);
  return message;
}

void check_words(const std::string& message, const std::vector<std::string>& wanted) {
  for (const std::string& word : wanted) BOOST_TEST(message.find(word) != std::string::npos, "'" << word << "' is missing in: " << message);
}

const LabelDemand no_labels{}, ten_classes{LabelDemand::Kind::classes, 10}, three_values{LabelDemand::Kind::values, 3};

}  // namespace

BOOST_AUTO_TEST_SUITE(data_set)

BOOST_AUTO_TEST_CASE(rows_of_all_shards_in_the_order_of_names) {
  RandomStream random(51);
  for (int trial = 0; trial < 5; ++trial) {
    const TemporaryDirectory folder;
    const auto sizes = random_sizes(random, 30, 40);
    MadeShards made;
    made.classes = trial % 2 ? 5 : 0;
    make_on_one(folder, [&](const auto& path) { make_shards(path, sizes, made); });
    const DataSet data(Communicator::world(), folder.path().string(), ShardNames{}, Shape{made.elements}, made.demand());
    const auto starts = starts_of(sizes);
    BOOST_TEST(data.starts() == starts, boost::test_tools::per_element());
    BOOST_TEST(data.size() == starts.back());
    BOOST_TEST((data.feature_type() == ElementType::i32));
    BOOST_TEST(data.feature_bytes() == 12);
    BOOST_TEST(data.label_bytes() == (made.classes ? 8 : 16));
    BOOST_REQUIRE(data.shards().size() == sizes.size());
    for (std::size_t s = 0; s < sizes.size(); ++s) {
      const ShardInfo own = describe_shard((folder / fmt::format("shard_{:04}.h5", s)).string(), ShardNames{});
      const ShardInfo& shared = data.shards()[s];
      BOOST_TEST(shared.path == own.path);
      BOOST_TEST(shared.rows == own.rows);
      BOOST_TEST((shared.sample == own.sample && shared.label == own.label));
      BOOST_TEST((shared.feature_type == own.feature_type && shared.label_type == own.label_type));
      BOOST_TEST(shared.has_labels == own.has_labels);
    }
    for (std::int64_t row = 0; row < data.size(); ++row) {
      const std::size_t s = data.shard_of(row);
      BOOST_TEST((data.starts()[s] <= row && row < data.starts()[s + 1]));
    }
  }
}

BOOST_AUTO_TEST_CASE(leading_ones_and_empty_shards_do_not_matter) {
  const TemporaryDirectory folder;
  make_on_one(folder, [](const auto& path) {
    write_zeros(path / "a.h5", 0, options_of(Shape{3}, ElementType::f64));
    write_zeros(path / "b.h5", 4, options_of(Shape{6, 5}, ElementType::u8, Shape{1}));
    write_zeros(path / "c.h5", 2, options_of(Shape{1, 6, 5}, ElementType::u8));
  });
  const DataSet data(Communicator::world(), folder.path().string(), ShardNames{}, Shape{1, 6, 5}, ten_classes);
  BOOST_TEST(data.size() == 6);
  BOOST_TEST((data.feature_type() == ElementType::u8));
  BOOST_TEST(data.feature_bytes() == 30);
  const DataSet flat(Communicator::world(), folder.path().string(), ShardNames{}, Shape{30}, no_labels);
  BOOST_TEST(flat.label_bytes() == 0);
  BOOST_TEST(flat.size() == 6);
}

BOOST_AUTO_TEST_CASE(labels_that_nobody_demands_may_be_absent) {
  const TemporaryDirectory folder;
  make_on_one(folder, [](const auto& path) {
    auto options = options_of(Shape{4}, ElementType::f32);
    options.has_labels = false;
    write_zeros(path / "a.h5", 5, options);
  });
  const DataSet data(Communicator::world(), folder.path().string(), ShardNames{}, Shape{4}, no_labels);
  BOOST_TEST(data.size() == 5);
  check_words(message_of(folder.path().string(), Shape{4}, ten_classes), {"a.h5", "/y"});
}

BOOST_AUTO_TEST_CASE(shards_that_do_not_fit_are_named) {
  struct Fault {
    ShardWriter::Options odd;
    LabelDemand demand;
    std::vector<std::string> words;
  };
  const auto usual = [](const LabelDemand& demand) {
    return demand.kind == LabelDemand::Kind::values ? options_of(Shape{2, 3}, ElementType::f32, Shape{3}, ElementType::f64)
                                                    : options_of(Shape{2, 3}, ElementType::f32);
  };
  const std::vector<Fault> faults{
      {options_of(Shape{2, 4}, ElementType::f32), ten_classes, {"'/x'", "(4, 2, 4)", "(4, 2, 3)", "Hint"}},
      {options_of(Shape{3, 2}, ElementType::f32), ten_classes, {"'/x'", "(4, 3, 2)", "(4, 2, 3)", "Hint"}},
      {options_of(Shape{2, 3}, ElementType::u8), ten_classes, {"'/x'", "uint8", "float32", "Hint"}},
      {options_of(Shape{2, 3}, ElementType::f32, {}, ElementType::i32), ten_classes, {"'/y'", "int32", "int64", "Hint"}},
      {options_of(Shape{2, 3}, ElementType::f32, Shape{10}), ten_classes, {"'/y'", "(4, 10)", "0 to 9", "one-hot"}},
      {options_of(Shape{2, 3}, ElementType::f32, Shape{2}, ElementType::f64), three_values, {"'/y'", "(4, 2)", "3 numbers", "out = 2"}},
  };
  for (const Fault& fault : faults)
    for (const int place : {1, 4, 7}) {  // opened by different ranks
      const TemporaryDirectory folder;
      make_on_one(folder, [&](const auto& path) {
        for (int s = 0; s < 8; ++s) write_zeros(path / fmt::format("s{}.h5", s), 4, s == place ? fault.odd : usual(fault.demand));
      });
      const std::string message = message_of(folder.path().string(), Shape{2, 3}, fault.demand);
      check_words(message, fault.words);
      check_words(message, {fmt::format("s{}.h5'", place)});
    }
}

BOOST_AUTO_TEST_CASE(a_model_that_wants_another_input) {
  const TemporaryDirectory folder;
  make_on_one(folder, [](const auto& path) { write_zeros(path / "train_003.h5", 5, options_of(Shape{784}, ElementType::u8)); });
  check_words(message_of(folder.path().string(), Shape{1, 28, 30}, ten_classes), {"train_003.h5", "'/x'", "(5, 784)", "1x28x30", "840", "Hint: input = 784"});
}

BOOST_AUTO_TEST_CASE(nothing_to_learn_from) {
  const TemporaryDirectory folder;
  make_on_one(folder, [](const auto& path) {
    for (int s = 0; s < 3; ++s) write_zeros(path / fmt::format("s{}.h5", s), 0, options_of(Shape{2}, ElementType::u8));
  });
  check_words(message_of(folder.path().string(), Shape{2}, ten_classes), {folder.path().string(), "3 shards", "no row"});
  check_words(message_of((folder / "nowhere").string(), Shape{2}, ten_classes), {"nowhere"});
}

BOOST_AUTO_TEST_CASE(one_broken_file_is_the_error_of_all) {
  for (int place = 0; place < 5; ++place) {
    const TemporaryDirectory folder;
    make_on_one(folder, [&](const auto& path) {
      make_shards(path, {30, 30, 30, 30, 30}, MadeShards{});
      const auto file = path / fmt::format("shard_{:04}.h5", place);
      std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
    });
    check_words(message_of(folder.path().string(), Shape{3}, ten_classes), {fmt::format("shard_{:04}.h5", place)});
  }
}

BOOST_AUTO_TEST_SUITE_END()
