#include <boost/test/unit_test.hpp>

#include "commands/commands.hpp"
#include "commands/shard_job.hpp"
#include "io/importers/digits.hpp"
#include "io/importers/fields.hpp"
#include "io/importers/shallow_water.hpp"
#include "io/importers/storms.hpp"
#include "io/shard.hpp"
#include "support.hpp"
#include "support/temporary_directory.hpp"

namespace trireme {
TRIREME_COMMAND(shard);
}

using namespace trireme;
using namespace trireme::test;

namespace {

namespace fs = std::filesystem;

struct Rows {
  Bytes features, labels;
  std::vector<std::int64_t> rows_by_shard;
};

// All rows of a data set, shard after shard.
Rows read_all(const fs::path& folder) {
  Rows all;
  for (const auto& path : find_shards(folder.string())) {
    const ShardInfo info = describe_shard(path, ShardNames{});
    ShardReader reader(info, ShardNames{});
    Bytes x(static_cast<std::size_t>(info.rows * info.sample.size()) * size_of(info.feature_type));
    Bytes y(static_cast<std::size_t>(info.rows * info.label.size()) * size_of(info.label_type));
    reader.read_features(0, info.rows, x);
    reader.read_labels(0, info.rows, y);
    all.features.insert(all.features.end(), x.begin(), x.end());
    all.labels.insert(all.labels.end(), y.begin(), y.end());
    all.rows_by_shard.push_back(info.rows);
  }
  return all;
}

int run(const std::vector<std::string>& arguments) { return command_kind_shard().run_words(Communicator::world(), arguments); }

std::vector<std::string> digits(const fs::path& out, const std::string& shards, const std::string& gzip = "0") {
  return {"digits", "--out", out.string(), "--shards", shards, "--train", "610", "--test=120", "--seed", "7", "--gzip", gzip};
}

// A source that fails on one rank when it comes to a sample.
class FailingSource : public SampleSource {
 public:
  FailingSource(std::int64_t bad_sample, std::int64_t samples) : bad_(bad_sample), samples_(samples) { layout_.sample = Shape{1}; }
  const SampleLayout& layout() const override { return layout_; }
  std::int64_t count(Part part) const override { return part == Part::train ? samples_ : 0; }
  void stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const override {
    const std::uint8_t x = 0;
    const std::int64_t y = 0;
    for (std::int64_t i = wanted[Part::train].first; i < wanted[Part::train].end; ++i) {
      if (i == bad_) throw data_error("sample {} is bad", i);
      sink(Part::train, 1, std::as_bytes(std::span(&x, 1)), std::as_bytes(std::span(&y, 1)));
    }
  }

 private:
  std::int64_t bad_, samples_;
  SampleLayout layout_;
};

std::string usage(const std::vector<std::string>& arguments) {
  return message_of([&] { run(arguments); }, ExitCode::usage);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(shard_commands)

BOOST_AUTO_TEST_CASE(the_samples_do_not_depend_on_ranks_shards_or_compression) {
  const TemporaryDirectory folder;
  const Collected expected = collect(DigitSource(7, 610, 120));
  for (const char* shards : {"1", "3", "8"})
    for (const char* gzip : {"0", "4"}) {
      const fs::path out = folder / (std::string("d") + shards + "-" + gzip);
      BOOST_TEST(run(digits(out, shards, gzip)) == 0);
      for (const Part part : all_parts) {
        const Rows rows = read_all(out / (part == Part::train ? "train" : "test"));
        BOOST_TEST((rows.features == expected.features[part]));
        BOOST_TEST((rows.labels == expected.labels[part]));
        const auto [least, most] = std::ranges::minmax(rows.rows_by_shard);
        BOOST_TEST(most - least <= 1);
        const std::size_t n = std::stoul(shards);
        BOOST_TEST(rows.rows_by_shard.size() == (part == Part::train ? n : std::max<std::size_t>(1, n / 4)));
      }
    }
}

BOOST_AUTO_TEST_CASE(fields_do_not_depend_on_ranks_or_shards) {
  const TemporaryDirectory folder;
  const Collected expected = collect(FieldSource(5, 11, 3, 8, 3));
  for (const char* shards : {"1", "4", "13"}) {
    const fs::path out = folder / (std::string("f") + shards);
    BOOST_TEST(run({"fields", "--out", out.string(), "--shards", shards, "--train", "11", "--test", "3", "--size", "8", "--channels", "3", "--seed", "5"}) ==
               0);
    for (const Part part : all_parts) {
      const Rows rows = read_all(out / (part == Part::train ? "train" : "test"));
      BOOST_TEST((rows.features == expected.features[part]));
      BOOST_TEST((rows.labels == expected.labels[part]));
    }
  }
}

BOOST_AUTO_TEST_CASE(own_files_do_not_depend_on_ranks) {
  const TemporaryDirectory folder;
  const StormSource storms(5, 5, 2, 32, 40);
  const ShallowWaterSource years(5, 4, 1, 3, 2, 16);
  BOOST_TEST(run({"storms", "--out", (folder / "s").string(), "--train", "5", "--test=2", "--height", "32", "--width", "40", "--seed", "5"}) == 0);
  BOOST_TEST(run({"shallow_water", "--out", (folder / "w").string(), "--years", "4", "--test-years", "1", "--steps", "3", "--hours", "2", "--size", "16",
                  "--seed", "5", "--gzip", "3"}) == 0);
  Communicator::world().barrier();
  if (Communicator::world().rank() == 0) {
    fs::create_directory(folder / "alone");
    const auto compare = [&](const FileSource& source, const fs::path& out, int gzip) {
      std::vector<double> numbers;
      for (const Part part : all_parts) {
        const fs::path found = out / (part == Part::train ? "train" : "test");
        BOOST_TEST(std::distance(fs::directory_iterator(found), fs::directory_iterator()) == source.files(part));
        for (std::int64_t file = 0; file < source.files(part); ++file) {
          const fs::path alone = folder / "alone" / source.file_name(part, file);
          const auto own = source.write(part, file, alone, gzip);
          if (part == Part::train) numbers.insert(numbers.end(), own.begin(), own.end());
          BOOST_TEST((read_file(alone) == read_file(found / source.file_name(part, file))));
        }
      }
      if (source.summary_name().empty()) return;
      source.write_summary(folder / "alone" / source.summary_name(), numbers);
      BOOST_TEST((read_file(folder / "alone" / source.summary_name()) == read_file(out / source.summary_name())));
    };
    compare(storms, folder / "s", 0);
    compare(years, folder / "w", 3);
  }
  Communicator::world().barrier();
  const std::string out = (folder / "n").string();
  BOOST_TEST(says(usage({"storms", "--out", out, "--shards", "4"}), {"--shards does not apply", "512 for training"}));
  BOOST_TEST(says(usage({"shallow_water", "--out", out, "--test-shards", "4"}), {"--test-shards does not apply", "1 for tests"}));
  BOOST_TEST(says(usage({"storms", "--out", out, "--height", "8"}), {"--height 8", "32 to 2048"}));
  BOOST_TEST(says(usage({"volumes", "--out", out, "--size", "8"}), {"--size 8", "16 to 512"}));
  BOOST_TEST(!fs::exists(out));
}

BOOST_AUTO_TEST_CASE(more_shards_than_samples) {
  const TemporaryDirectory folder;
  BOOST_TEST(run({"digits", "--out", (folder / "d").string(), "--shards", "7", "--train", "3", "--test", "0"}) == 0);
  const Rows rows = read_all(folder / "d/train");
  BOOST_TEST(rows.rows_by_shard.size() == 7u);
  BOOST_TEST((rows.features == collect(DigitSource(1, 3, 0)).features[Part::train]));
  BOOST_TEST(!fs::exists(folder / "d/test"));
}

BOOST_AUTO_TEST_CASE(what_stands_is_replaced_only_by_force) {
  const TemporaryDirectory folder;
  const fs::path out = folder / "d";
  run(digits(out, "5"));
  const Rows before = read_all(out / "train");
  Communicator::world().barrier();
  BOOST_TEST(says(usage(digits(out, "2")), {"--out", "train", "5 shard", "--force"}));
  BOOST_TEST(read_all(out / "train").rows_by_shard.size() == 5u);
  Communicator::world().barrier();
  auto forced = digits(out, "2");
  forced.push_back("--force");
  BOOST_TEST(run(forced) == 0);
  BOOST_TEST(read_all(out / "train").rows_by_shard.size() == 2u);
  BOOST_TEST((read_all(out / "train").features == before.features));
}

BOOST_AUTO_TEST_CASE(an_error_on_one_rank_reaches_all_and_leaves_what_stood) {
  const TemporaryDirectory folder;
  const Communicator comm = Communicator::world();
  ShardJob job;
  job.out = folder / "d";
  job.name = "s";
  job.shards = {6, 1};
  job.force = true;
  write_shards(comm, FailingSource(-1, 60), job);
  comm.barrier();
  for (const std::int64_t bad : {0, 29, 59}) {
    const std::string message = message_of([&] { write_shards(comm, FailingSource(bad, 60), job); });
    BOOST_TEST(message == fmt::format("sample {} is bad", bad));
    BOOST_TEST(read_all(folder / "d/train").rows_by_shard == (std::vector<std::int64_t>(6, 10)), boost::test_tools::per_element());
    comm.barrier();
    BOOST_TEST(std::distance(fs::directory_iterator(job.out), fs::directory_iterator()) == 1);
    comm.barrier();
  }
}

BOOST_AUTO_TEST_CASE(an_error_stops_ranks_with_much_left_to_do) {
  const TemporaryDirectory folder;
  const Communicator comm = Communicator::world();
  if (comm.size() == 1) return;  // needs others to be stopped
  ShardJob job;
  job.out = folder / "d";
  job.name = "s";
  job.shards = {comm.size(), 1};
  const std::int64_t endless = std::int64_t{1} << 33;  // years of work at one sample a call
  for (const std::int64_t bad : {std::int64_t{5}, endless - endless / comm.size() + 5}) {
    const std::string message = message_of([&] { write_shards(comm, FailingSource(bad, endless), job); });
    BOOST_TEST(says(message, {"is bad"}));
    comm.barrier();
    BOOST_TEST(fs::is_empty(job.out));
    comm.barrier();
  }
}

BOOST_AUTO_TEST_CASE(standardised_tables_carry_mean_and_deviation) {
  const TemporaryDirectory folder;
  const Communicator comm = Communicator::world();
  if (comm.rank() == 0) write_file(folder / "table.csv", "1,10,100\n3,10,300\n");
  comm.barrier();
  BOOST_TEST(run({"csv", (folder / "table.csv").string(), "--out", (folder / "d").string(), "--shards", "2", "--test", "0", "--standardize",
                  "--standardize-targets"}) == 0);
  const h5::File file = h5::open_file((folder / "d/train/table-0001.h5").string(), "shard", ExitCode::data);
  const auto values = [&](const char* dataset, const char* name) {
    const h5::Attribute attribute(TRIREME_H5(H5Aopen_by_name(file, dataset, name, H5P_DEFAULT, H5P_DEFAULT), dataset));
    const h5::Space space(TRIREME_H5(H5Aget_space(attribute), dataset));
    std::vector<double> found(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
    TRIREME_H5(H5Aread(attribute, H5T_NATIVE_DOUBLE, found.data()), dataset);
    return found;
  };
  BOOST_TEST(values("/x", "mean") == (std::vector<double>{2, 10}), boost::test_tools::per_element());
  BOOST_TEST(values("/x", "deviation") == (std::vector<double>{1, 1}), boost::test_tools::per_element());
  BOOST_TEST(values("/y", "mean") == std::vector<double>{200}, boost::test_tools::per_element());
  BOOST_TEST(values("/y", "deviation") == std::vector<double>{100}, boost::test_tools::per_element());
  BOOST_TEST((values_of<float>(read_all(folder / "d/train").features) == std::vector<float>{-1, 0, 1, 0}));
}

BOOST_AUTO_TEST_CASE(mistakes_on_the_command_line) {
  const TemporaryDirectory folder;
  const std::string out = (folder / "d").string(), here = folder.path().string();
  BOOST_TEST(says(usage({}), {"KIND is missing", "cifar10, csv, digits, fields, idx, shallow_water, storms, volumes"}));
  BOOST_TEST(says(usage({"digit", "--out", out}), {"'digit'", "did you mean 'digits'"}));
  BOOST_TEST(says(usage({"digits"}), {"--out"}));
  BOOST_TEST(says(usage({"digits", "--out", out, "--shard", "3"}), {"--shard", "did you mean '--shards'"}));
  BOOST_TEST(says(usage({"digits", "--out", out, "--targets", "3"}), {"--targets"}));
  BOOST_TEST(says(usage({"digits", "--out", out, "--shards", "0"}), {"--shards 0", "1 to 1000000"}));
  BOOST_TEST(says(usage({"digits", "--out", out, "--shards", "many"}), {"shards", "many"}));
  BOOST_TEST(says(usage({"digits", "--out", out, "--test-shards", "0"}), {"--test-shards 0"}));
  BOOST_TEST(says(usage({"digits", "--out", out, "--gzip", "10"}), {"--gzip 10", "0 to 9"}));
  BOOST_TEST(says(usage({"digits", "--out", out, "--train", "-5"}), {"--train -5"}));
  BOOST_TEST(says(usage({"digits", "--out", out, "--out", out}), {"out", "once"}));
  BOOST_TEST(says(usage({"digits", here, "--out", out}), {"no SOURCE"}));
  BOOST_TEST(says(usage({"fields", "--out", out, "--size", "24"}), {"--size 24", "power of two from 4 to 512"}));
  BOOST_TEST(says(usage({"fields", "--out", out, "--size", "2"}), {"--size 2"}));
  BOOST_TEST(says(usage({"fields", "--out", out, "--channels", "0"}), {"--channels 0", "1 to 64"}));
  BOOST_TEST(says(usage({"idx", "--out", out}), {"0 SOURCE", "train-images"}));
  BOOST_TEST(says(usage({"idx", here, here, "--out", out}), {"2 SOURCE"}));
  BOOST_TEST(says(usage({"csv", here, "--out", out, "--test", "1"}), {"--test 1"}));
  BOOST_TEST(says(usage({"csv", here, "--out", out, "--header", "ye"}), {"--header ye", "'yes'"}));
  BOOST_TEST(says(usage({"csv", here, "--out", out, "--classes", "--targets", "2"}), {"--classes", "--targets"}));
  BOOST_TEST(says(usage({"csv", here, "--out", out, "--classes", "--standardize-targets"}), {"--standardize-targets"}));
  const auto data = [&](const std::vector<std::string>& arguments) { return message_of([&] { run(arguments); }); };
  BOOST_TEST(says(data({"csv", here + "/none.csv", "--out", out}), {"none.csv", "does not exist"}));
  BOOST_TEST(says(data({"csv", here, "--out", out}), {here}));
  BOOST_TEST(says(data({"idx", here, "--out", out}), {"no IDX train features"}));
  BOOST_TEST(says(data({"cifar10", here, "--out", out}), {"data_batch_1.bin"}));
  BOOST_TEST(!fs::exists(out));
  BOOST_TEST(run({"--help"}) == 0);
  BOOST_TEST(run({"csv", "--help"}) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
