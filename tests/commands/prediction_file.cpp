// Rows of predictions come to their places whoever writes them and when, and the file appears only when it is whole.
#include "io/prediction_file.hpp"

#include <boost/test/unit_test.hpp>

#include "h5_files.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;
namespace fs = std::filesystem;

namespace {

struct Predictions {
  PredictionLayout layout;
  std::vector<std::byte> output;
  std::vector<std::int32_t> classes;
  std::int64_t row_bytes() const { return layout.output.size() * (layout.is_double ? 8 : 4); }
};

Predictions random_predictions(RandomStream& random) {
  Predictions p;
  p.layout.rows = random.below(5) == 0 ? 0 : static_cast<std::int64_t>(1 + random.below(300));
  for (std::uint64_t rank = 1 + random.below(4); rank > 0; --rank) p.layout.output = p.layout.output.with_first(static_cast<std::int64_t>(1 + random.below(5)));
  p.layout.is_double = random.below(2) == 1;
  p.layout.classes = random.below(2) == 1;
  p.layout.texts = {{"data", "a folder/ä"}, {"nothing", ""}};
  p.layout.integers = {{"step", static_cast<std::int64_t>(random.below(1000000))}};
  p.output.resize(static_cast<std::size_t>(p.layout.rows * p.row_bytes()));
  const auto fill = [&]<class T>(T) {
    auto* const values = reinterpret_cast<T*>(p.output.data());
    for (std::size_t i = 0; i < p.output.size() / sizeof(T); ++i) values[i] = static_cast<T>(random.uniform(-9, 9));
  };
  p.layout.is_double ? fill(double{}) : fill(float{});
  if (p.layout.classes) p.classes.resize(static_cast<std::size_t>(p.layout.rows));
  for (auto& c : p.classes) c = static_cast<std::int32_t>(random.bits());
  return p;
}

/// Cuts the rows into runs, deals them to `writers` writers and writes them in random order.
void write_rows(const fs::path& path, const Predictions& p, const PredictionPlaces& places, int writers, RandomStream& random) {
  std::vector<std::unique_ptr<PredictionRows>> ranks;
  for (int w = 0; w < writers; ++w) ranks.push_back(std::make_unique<PredictionRows>(path, p.layout, places));
  std::vector<std::pair<std::int64_t, std::int64_t>> runs;
  for (std::int64_t first = 0, count; first < p.layout.rows; first += count) {
    count = std::min(static_cast<std::int64_t>(1 + random.below(40)), p.layout.rows - first);
    runs.emplace_back(first, count);
  }
  while (!runs.empty()) {
    const auto at = runs.begin() + static_cast<std::ptrdiff_t>(random.below(runs.size()));
    const auto [first, count] = *at;
    runs.erase(at);
    ranks[random.below(ranks.size())]->write(
        first, std::span(p.output).subspan(static_cast<std::size_t>(first * p.row_bytes()), static_cast<std::size_t>(count * p.row_bytes())),
        p.layout.classes ? std::span(p.classes).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)) : std::span<std::int32_t>());
  }
  for (auto& rank : ranks) rank->finish();
}

template <class T>
std::vector<T> read(const h5::File& file, const char* name, std::vector<std::int64_t>& extents) {
  const h5::Dataset dataset(TRIREME_H5(H5Dopen2(file, name, H5P_DEFAULT), name));
  extents = h5::extents(dataset, name);
  std::int64_t size = 1;
  for (const std::int64_t extent : extents) size *= extent;
  std::vector<T> values(static_cast<std::size_t>(size));
  const h5::Type type(TRIREME_H5(H5Dget_type(dataset), name));
  BOOST_TEST(H5Tget_size(type) == sizeof(T));
  if (size > 0) TRIREME_H5(H5Dread(dataset, h5::native_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), name);
  return values;
}

template <class T>
void check_output(const h5::File& file, const Predictions& p) {
  std::vector<std::int64_t> extents;
  const auto values = read<T>(file, "output", extents);
  BOOST_TEST((Shape(std::span<const std::int64_t>(extents)) == p.layout.output.with_first(p.layout.rows)));
  BOOST_TEST_REQUIRE(values.size() * sizeof(T) == p.output.size());
  BOOST_TEST((p.output.empty() || std::memcmp(values.data(), p.output.data(), p.output.size()) == 0));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(prediction_file)

BOOST_AUTO_TEST_CASE(round_trip) {
  const TemporaryDirectory folder;
  RandomStream random(5);
  for (int trial = 0; trial < 60; ++trial) {
    const fs::path path = folder / "p.h5";
    const Predictions p = random_predictions(random);
    {
      PredictionFile whole(path, p.layout);
      write_rows(path, p, whole.places(), static_cast<int>(1 + random.below(4)), random);
      whole.finish();
    }
    BOOST_TEST(names_in(folder.path()) == std::vector<std::string>{"p.h5"}, boost::test_tools::per_element());
    const h5::File file = h5::open_file(path.string(), "predictions", ExitCode::data);
    p.layout.is_double ? check_output<double>(file, p) : check_output<float>(file, p);
    BOOST_TEST((H5Lexists(file, "class", H5P_DEFAULT) > 0) == p.layout.classes);
    std::vector<std::int64_t> extents;
    if (p.layout.classes) BOOST_TEST(read<std::int32_t>(file, "class", extents) == p.classes, boost::test_tools::per_element());
    std::int64_t step = -1;
    const h5::Attribute attribute(TRIREME_H5(H5Aopen(file, "step", H5P_DEFAULT), "step"));
    TRIREME_H5(H5Aread(attribute, H5T_NATIVE_INT64, &step), "step");
    BOOST_TEST(step == p.layout.integers.at("step"));
  }
}

BOOST_AUTO_TEST_CASE(bytes_do_not_depend_on_who_wrote) {
  const TemporaryDirectory folder;
  RandomStream random(6);
  const Predictions p = random_predictions(random);
  std::string first;
  for (int writers = 1; writers < 5; ++writers) {
    const fs::path path = folder / "p.h5";
    PredictionFile whole(path, p.layout);
    write_rows(path, p, whole.places(), writers, random);
    whole.finish();
    if (first.empty()) first = bytes_of(path);
    BOOST_TEST((bytes_of(path) == first));
  }
}

BOOST_AUTO_TEST_CASE(what_stood_before_stands_until_the_end) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "p.h5";
  write_bytes(path, "what stood before");
  RandomStream random(7);
  const Predictions p = random_predictions(random);
  {
    const PredictionFile whole(path, p.layout);
    write_rows(path, p, whole.places(), 2, random);
    BOOST_TEST(bytes_of(path) == "what stood before");
  }
  BOOST_TEST(bytes_of(path) == "what stood before");
  BOOST_TEST(names_in(folder.path()).size() == 1u);
}

BOOST_AUTO_TEST_CASE(rows_outside_are_refused) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "p.h5";
  PredictionLayout layout;
  layout.rows = 10;
  layout.output = Shape{3};
  const PredictionFile whole(path, layout);
  PredictionRows rows(path, layout, whole.places());
  const std::vector<std::byte> two(24), odd(13);
  const std::vector<std::int32_t> classes(2);
  for (const std::int64_t first : {-1, 9, 10, 1000}) check_error([&] { rows.write(first, two, {}); }, ExitCode::internal, {"10 rows"});
  check_error([&] { rows.write(0, odd, {}); }, ExitCode::internal, {"13 bytes"});
  check_error([&] { rows.write(0, two, classes); }, ExitCode::internal, {"2 classes"});
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_an_error_and_leaves_nothing) {
  const TemporaryDirectory folder;
  PredictionLayout layout;
  layout.rows = 100000;
  layout.output = Shape{10};
  RandomStream random(8);
  for (const rlim_t limit : {rlim_t{0}, rlim_t{100}, rlim_t{5000}, rlim_t{1} << 20}) {
    const FullDisk full(limit);
    check_error(
        [&] {
          const fs::path path = folder / "p.h5";
          PredictionFile whole(path, layout);
          PredictionRows rows(path, layout, whole.places());
          const std::vector<std::byte> block(40 * 1000);
          for (std::int64_t first = 0; first < layout.rows; first += 1000) rows.write(first, block, {});
          rows.finish();
          whole.finish();
        },
        ExitCode::data, {"p.h5", "cannot be written", "Hint"});
    BOOST_TEST(names_in(folder.path()).empty());
  }
}

BOOST_AUTO_TEST_CASE(a_folder_that_is_absent_is_an_error) {
  const TemporaryDirectory folder;
  PredictionLayout layout;
  layout.rows = 1;
  layout.output = Shape{1};
  check_error([&] { const PredictionFile whole(folder / "no/p.h5", layout); }, ExitCode::data, {"no/p.h5", "No such file", "Hint"});
}

BOOST_AUTO_TEST_SUITE_END()
