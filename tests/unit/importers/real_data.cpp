// Published data sets, where they are at hand: TRIREME_SHARED_DATA names the folder, else shared/data beside the
// checkout.
#include <boost/test/unit_test.hpp>
#include <cstdlib>

#include "io/importers/cifar10.hpp"
#include "io/importers/csv.hpp"
#include "io/importers/idx.hpp"
#include "support.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

std::filesystem::path shared_data() {
  const char* const named = std::getenv("TRIREME_SHARED_DATA");
  return named ? std::filesystem::path(named) : std::filesystem::path(TRIREME_SOURCE_DIR) / ".." / "shared" / "data";
}

bool at_hand(const std::filesystem::path& path) {
  if (std::filesystem::exists(path)) return true;
  BOOST_TEST_MESSAGE("skipped: '" << path.string() << "' is not here; TRIREME_SHARED_DATA may name the folder of real data");
  return false;
}

// Counts the labels of a source without keeping its features.
PerPart<std::vector<std::int64_t>> label_histograms(const SampleSource& source) {
  PerPart<std::vector<std::int64_t>> counts{std::vector<std::int64_t>(10, 0), std::vector<std::int64_t>(10, 0)};
  source.stream({SampleRange{0, source.count(Part::train)}, SampleRange{0, source.count(Part::test)}},
                [&](Part part, std::int64_t count, std::span<const std::byte>, std::span<const std::byte> labels) {
                  const auto values = values_of<std::int64_t>(Bytes(labels.begin(), labels.end()));
                  BOOST_REQUIRE(static_cast<std::int64_t>(values.size()) == count);
                  for (const auto value : values) ++counts[part].at(static_cast<std::size_t>(value));
                });
  return counts;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(real_data)

BOOST_AUTO_TEST_CASE(mnist) {
  const auto folder = shared_data() / "mnist";
  if (!at_hand(folder)) return;
  const IdxSource source(find_idx_files(folder));
  BOOST_TEST(source.count(Part::train) == 60000);
  BOOST_TEST(source.count(Part::test) == 10000);
  BOOST_TEST(source.layout().sample.tuple() == "(1, 28, 28)");
  const auto counts = label_histograms(source);
  BOOST_TEST(counts[Part::train] == (std::vector<std::int64_t>{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}), boost::test_tools::per_element());
  BOOST_TEST(counts[Part::test] == (std::vector<std::int64_t>{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}), boost::test_tools::per_element());
  // The mean and deviation that everybody normalizes MNIST with: 0.1307 and 0.3081.
  double sum = 0, squares = 0;
  const Collected all = collect(source, {SampleRange{0, 60000}, SampleRange{}});
  for (const std::byte b : all.features[Part::train]) {
    const double v = std::to_integer<int>(b) / 255.0;
    sum += v;
    squares += v * v;
  }
  const double mean = sum / (60000.0 * 784);
  BOOST_TEST(std::abs(mean - 0.1307) < 1e-4);
  BOOST_TEST(std::abs(std::sqrt(squares / (60000.0 * 784) - mean * mean) - 0.3081) < 1e-4);
}

BOOST_AUTO_TEST_CASE(cifar10_archive) {
  const auto archive = shared_data() / "cifar10" / "cifar10-batches-bin.tar.xz";
  if (!at_hand(archive)) return;
  const Cifar10Source source(archive);
  BOOST_TEST(source.count(Part::train) == 50000);
  BOOST_TEST(source.count(Part::test) == 10000);
  const auto counts = label_histograms(source);
  BOOST_TEST(counts[Part::train] == std::vector<std::int64_t>(10, 5000), boost::test_tools::per_element());
  BOOST_TEST(counts[Part::test] == std::vector<std::int64_t>(10, 1000), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(tables) {
  const auto folder = shared_data() / "tabular";
  if (!at_hand(folder)) return;
  const std::vector<std::tuple<std::string, std::int64_t, std::int64_t>> expected{
      {"airfoil.csv", 1503, 5}, {"california_housing.csv", 20640, 8}, {"concrete.csv", 1030, 8}, {"energy.csv", 768, 8}, {"yacht.csv", 308, 6}};
  for (const auto& [name, rows, features] : expected) {
    const CsvSource source(folder / name, CsvOptions{});
    BOOST_TEST(source.count(Part::train) + source.count(Part::test) == rows, name);
    BOOST_TEST(source.layout().sample.size() == features, name);
  }
  CsvOptions options;
  options.classes = true;
  const CsvSource pulsars(folder / "HTRU_2.csv", options);
  BOOST_TEST(pulsars.count(Part::train) + pulsars.count(Part::test) == 17898);
  const auto counts = label_histograms(pulsars);
  BOOST_TEST(counts[Part::train][1] + counts[Part::test][1] == 1639);
}

BOOST_AUTO_TEST_CASE(a_table_with_missing_values_and_text_is_refused) {
  const auto file = shared_data() / "tabular" / "california_housing_handson_missing_values.csv";
  if (!at_hand(file)) return;
  const std::string message = message_of([&] { CsvSource(file, CsvOptions{}); });
  BOOST_TEST_MESSAGE(message);
  BOOST_TEST(says(message, {"line 2, column 10 'ocean_proximity'", "'NEAR BAY'", "'total_bedrooms' (207 times)", "Hint"}));
}

BOOST_AUTO_TEST_SUITE_END()
