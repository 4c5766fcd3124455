// Synthetic volumes: the classes fill space as their balls do, and grey values are those of the class.
#include "io/importers/volumes.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <set>

#include "support.hpp"

using namespace trireme;
using namespace trireme::test;

BOOST_AUTO_TEST_SUITE(volumes)

BOOST_AUTO_TEST_CASE(grey_values_follow_the_classes) {
  const VolumeSource source(3, 40, 0, 24);
  const Collected all = collect(source);
  const auto values = values_of<std::uint8_t>(all.features[Part::train]), labels = values_of<std::uint8_t>(all.labels[Part::train]);
  BOOST_TEST(values.size() == labels.size());
  std::array<double, volume_classes> count{}, sum{}, squares{};
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::size_t kind = labels.at(i);
    BOOST_TEST_REQUIRE(kind < std::size_t{volume_classes});
    count[kind] += 1, sum[kind] += values[i], squares[kind] += static_cast<double>(values[i]) * values[i];
  }
  for (std::size_t kind = 0; kind < volume_classes; ++kind) {
    const double share = count[kind] / static_cast<double>(labels.size()), mean = sum[kind] / count[kind];
    BOOST_TEST(share > 0.002, "class " << kind << " has a share of " << share);
    BOOST_TEST(std::abs(mean - (kind == 0 ? 45 : 70 + 25 * static_cast<double>(kind))) < 12, "class " << kind << " has a mean of " << mean);
    const double deviation = std::sqrt(squares[kind] / count[kind] - mean * mean);
    BOOST_TEST(deviation > 9);
    BOOST_TEST(deviation < 18);
  }
  BOOST_TEST(count[0] > 0.5 * static_cast<double>(labels.size()));
}

BOOST_AUTO_TEST_CASE(a_volume_is_a_function_of_seed_and_sample) {
  RandomStream random(6);
  BOOST_TEST(pieces_agree(VolumeSource(6, 9, 4, 17), random));
  const Collected all = collect(VolumeSource(6, 9, 4, 17)), more = collect(VolumeSource(6, 12, 4, 17)), other = collect(VolumeSource(7, 9, 4, 17));
  BOOST_TEST((all.features[Part::test] == more.features[Part::test]));
  BOOST_TEST((all.features[Part::train] != other.features[Part::train]));
  BOOST_TEST((all.labels[Part::train] != other.labels[Part::train]));
}

BOOST_AUTO_TEST_SUITE_END()
