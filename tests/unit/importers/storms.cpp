// Synthetic weather maps: classes in the stated shares, visible in the channels that carry them, and the statistics of the files.
#include "io/importers/storms.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>

#include "io/shard.hpp"
#include "support.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

struct Sample {
  std::vector<float> values;
  std::vector<std::int64_t> labels;
};

Sample draw(int height, int width, std::uint64_t seed, std::uint64_t sample) {
  const auto pixels = static_cast<std::size_t>(height * width);
  Sample drawn{std::vector<float>(pixels * storm_channels), std::vector<std::int64_t>(pixels)};
  StormMaker(height, width).draw(seed, sample, drawn.values, drawn.labels);
  return drawn;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(storms)

BOOST_AUTO_TEST_CASE(classes_have_the_shares_of_rare_storms) {
  for (const auto& [height, width] : {std::pair{64, 96}, std::pair{48, 48}, std::pair{96, 144}}) {
    std::array<double, 3> pixels{};
    constexpr int samples = 60;
    for (std::uint64_t i = 0; i < samples; ++i)
      for (const std::int64_t label : draw(height, width, 3, i).labels) ++pixels.at(static_cast<std::size_t>(label));
    const double all = static_cast<double>(samples) * height * width;
    BOOST_TEST(pixels[1] / all > 0.001);
    BOOST_TEST(pixels[1] / all < 0.005);
    BOOST_TEST(pixels[2] / all > 0.02);
    BOOST_TEST(pixels[2] / all < 0.05);
  }
}

// In the mean over samples, cyclones have low pressure and a warm core, and rivers have moist air.
BOOST_AUTO_TEST_CASE(storms_are_seen_in_their_channels) {
  constexpr int height = 64, width = 96;
  std::array<std::array<double, storm_channels>, 3> sums{};
  std::array<double, 3> pixels{};
  for (std::uint64_t i = 0; i < 80; ++i) {
    const Sample sample = draw(height, width, 5, i);
    for (std::size_t p = 0; p < sample.labels.size(); ++p) {
      const double latitude = 90 - (static_cast<double>(p / width) + 0.5) * 180 / height, cosine = std::cos(latitude * 3.14159265358979 / 180);
      const auto kind = static_cast<std::size_t>(sample.labels[p]);
      ++pixels[kind];
      for (std::size_t c = 0; c < storm_channels; ++c) {
        const StormChannel& spec = storm_channel_table[c];
        sums[kind][c] += (sample.values[p * storm_channels + c] - spec.pole - (spec.equator - spec.pole) * cosine * cosine) / spec.smooth;
      }
    }
  }
  for (std::size_t kind = 0; kind < 3; ++kind)
    for (double& sum : sums[kind]) sum /= pixels[kind];
  BOOST_TEST(sums[1][6] < -3);            // surface pressure
  BOOST_TEST(sums[1][9] > 0.5);           // temperature at 500 hPa
  BOOST_TEST(sums[2][0] > 3);             // moisture
  BOOST_TEST(std::abs(sums[2][6]) < 1);   // pressure of rivers
  BOOST_TEST(std::abs(sums[1][11]) < 1);  // surface temperature of cyclones
  for (std::size_t c = 0; c < storm_channels; ++c) BOOST_TEST(std::abs(sums[0][c]) < 1, storm_channel_table[c].name << " of the background: " << sums[0][c]);
}

BOOST_AUTO_TEST_CASE(a_map_is_a_function_of_seed_and_sample) {
  const Sample one = draw(40, 50, 7, 3);
  BOOST_TEST((one.values == draw(40, 50, 7, 3).values));
  BOOST_TEST((one.values != draw(40, 50, 8, 3).values));
  BOOST_TEST((one.values != draw(40, 50, 7, 4).values));
  for (const float value : one.values) BOOST_TEST(std::isfinite(value));
}

BOOST_AUTO_TEST_CASE(a_file_is_one_sample_and_the_summary_is_that_of_all) {
  const TemporaryDirectory folder;
  const StormSource source(4, 3, 1, 33, 41);
  std::vector<double> numbers;
  std::array<double, storm_channels> least{}, greatest{}, sums{}, squares{};
  least.fill(1e30), greatest.fill(-1e30);
  ShardNames names;
  names.features = "/climate/data", names.labels = "/climate/labels_0";
  for (std::int64_t file = 0; file < 3; ++file) {
    const auto path = folder.path() / source.file_name(Part::train, file);
    const auto own = source.write(Part::train, file, path, file == 1 ? 4 : 0);
    numbers.insert(numbers.end(), own.begin(), own.end());
    const ShardInfo info = describe_shard(path.string(), names, Shape{33, 41, 16});
    BOOST_TEST(info.single_sample);
    BOOST_TEST((info.sample == Shape{33, 41, 16}));
    BOOST_TEST((info.label == Shape{33, 41}));
    ShardReader reader(info, names);
    Bytes x(33 * 41 * 16 * 4), y(33 * 41 * 8);
    reader.read_features(0, 1, x);
    reader.read_labels(0, 1, y);
    const Sample expected = draw(33, 41, 4, static_cast<std::uint64_t>(file));
    BOOST_TEST((values_of<float>(x) == expected.values));
    BOOST_TEST((values_of<std::int64_t>(y) == expected.labels));
    for (std::size_t i = 0; i < expected.values.size(); ++i) {
      const std::size_t c = i % storm_channels;
      const double value = expected.values[i];
      least[c] = std::min(least[c], value), greatest[c] = std::max(greatest[c], value);
      sums[c] += value;
    }
  }
  const auto path = folder.path() / "stats.h5";
  source.write_summary(path, numbers);
  const double pixels = 3.0 * 33 * 41;
  for (std::int64_t file = 0; file < 3; ++file) {
    const Sample sample = draw(33, 41, 4, static_cast<std::uint64_t>(file));
    for (std::size_t i = 0; i < sample.values.size(); ++i) squares[i % storm_channels] += std::pow(sample.values[i] - sums[i % storm_channels] / pixels, 2);
  }
  const h5::File stats = h5::open_file(path.string(), "statistics", ExitCode::data);
  const auto read = [&](const char* name) {
    const h5::Dataset dataset(TRIREME_H5(H5Dopen2(stats, name, H5P_DEFAULT), name));
    std::array<float, storm_channels> values{};
    TRIREME_H5(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), name);
    return values;
  };
  const auto minval = read("/climate/minval"), maxval = read("/climate/maxval"), mean = read("/climate/mean"), deviation = read("/climate/std");
  for (std::size_t c = 0; c < storm_channels; ++c) {
    BOOST_TEST(minval[c] == static_cast<float>(least[c]));
    BOOST_TEST(maxval[c] == static_cast<float>(greatest[c]));
    BOOST_TEST(std::abs(mean[c] - sums[c] / pixels) <= 1e-6 * std::abs(sums[c] / pixels) + 1e-12);
    BOOST_TEST(std::abs(deviation[c] / std::sqrt(squares[c] / pixels) - 1) < 1e-4);
  }
  BOOST_TEST((source.write(Part::test, 0, folder.path() / "test.h5", 0) != source.write(Part::train, 0, folder.path() / "train.h5", 0)));
}

BOOST_AUTO_TEST_SUITE_END()
