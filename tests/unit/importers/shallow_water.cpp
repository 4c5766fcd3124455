// The shallow-water model: what its equations conserve, waves of known speed, balance, and stability.
#include "io/importers/shallow_water.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>

#include "io/h5.hpp"
#include "io/shard.hpp"
#include "support.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

std::vector<float> fields_of(const ShallowWater& model, int rows) {
  std::vector<float> fields(static_cast<std::size_t>(3 * rows * 2 * rows));
  model.copy_to(fields);
  return fields;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(shallow_water)

BOOST_AUTO_TEST_CASE(mass_is_conserved_and_winds_stay_those_of_weather) {
  for (const int rows : {21, 32}) {
    ShallowWater model(rows, 5, 2);
    const double mass = model.mass();
    double eddies = 0;
    for (int day = 0; day < 20; ++day) {
      model.advance(86400);
      BOOST_TEST(std::abs(model.mass() / mass - 1) < 1e-12);
    }
    const auto fields = fields_of(model, rows);
    const std::size_t cells = fields.size() / 3;
    float fastest = 0;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      BOOST_TEST_REQUIRE(std::isfinite(fields[i]));
      if (i < cells) BOOST_TEST(fields[i] > 500);
      if (i >= cells) fastest = std::max(fastest, std::abs(fields[i]));
      if (i >= 2 * cells) eddies += static_cast<double>(fields[i]) * fields[i] / static_cast<double>(cells);
    }
    BOOST_TEST(fastest < 120);
    if (rows == 32) BOOST_TEST(std::sqrt(eddies) > 2);  // the flow has not become the jet alone
  }
}

// Without friction and relaxation the energy changes only by the errors of the scheme.
BOOST_AUTO_TEST_CASE(a_free_flow_keeps_its_energy) {
  ShallowWater model(24, 5, 1);
  model.set_free();
  const double energy = model.energy(), rest = 0.5 * ShallowWater::gravity * ShallowWater::mean_height * ShallowWater::mean_height;
  model.advance(2 * 86400);
  BOOST_TEST(std::abs(model.energy() - energy) < 0.01 * (energy - rest));
}

// The jet alone is a balance of pressure and Coriolis force: over hours the flow remains close to it, where an unbalanced one would radiate waves.
BOOST_AUTO_TEST_CASE(the_initial_state_is_nearly_balanced) {
  constexpr int rows = 32;
  ShallowWater model(rows, 9, 0);
  const auto before = fields_of(model, rows);
  model.advance(3600);
  const auto after = fields_of(model, rows);
  const std::size_t cells = before.size() / 3;
  double change = 0, variation = 0;
  for (std::size_t i = 0; i < cells; ++i) change += std::pow(after[i] - before[i], 2), variation += std::pow(before[i] - ShallowWater::mean_height, 2);
  BOOST_TEST(std::sqrt(change / variation) < 0.06);
}

BOOST_AUTO_TEST_CASE(steps_do_not_depend_on_how_they_are_asked_for) {
  ShallowWater one(16, 4, 7), two(16, 4, 7), other(16, 4, 8);
  one.advance(6 * 3600);
  for (int i = 0; i < 6; ++i) two.advance(3600);
  const auto a = fields_of(one, 16), b = fields_of(two, 16), c = fields_of(other, 16);
  BOOST_TEST((a != c));
  for (std::size_t i = 0; i < a.size(); ++i) BOOST_TEST(std::abs(a[i] - b[i]) < 1e-2);
}

BOOST_AUTO_TEST_CASE(a_year_is_one_file_with_scales) {
  const TemporaryDirectory folder;
  const ShallowWaterSource source(3, 2, 1, 5, 3, 16);
  BOOST_TEST(source.count(Part::train) == 10);
  const auto path = folder.path() / source.file_name(Part::train, 1), again = folder.path() / "again.h5";
  source.write(Part::train, 1, path, 0);
  source.write(Part::train, 1, again, 0);
  BOOST_TEST(read_file(path) == read_file(again));
  ShardNames names;
  names.features = "/fields", names.labels = "";
  const ShardInfo info = describe_shard(path.string(), names);
  BOOST_TEST(info.rows == 5);
  BOOST_TEST((info.sample == Shape{3, 16, 32}));
  ShardReader reader(info, names);
  Bytes x(5 * 3 * 16 * 32 * 4);
  reader.read_features(0, 5, x);
  const auto fields = values_of<float>(x);
  const std::size_t row = 3 * 16 * 32;
  ShallowWater model(16, 3, 1);
  model.advance(15 * 86400.0);
  model.advance(3 * 3600);
  const auto expected = fields_of(model, 16);
  BOOST_TEST(std::equal(expected.begin(), expected.end(), fields.begin() + static_cast<std::ptrdiff_t>(row)));
  const h5::File file = h5::open_file(path.string(), "year", ExitCode::data);
  for (const char* name : {"/time", "/channel", "/lat", "/lon"}) {
    BOOST_TEST(h5::link_exists(file, name));
    BOOST_TEST(H5Aexists_by_name(file, name, "CLASS", H5P_DEFAULT) > 0);
  }
  BOOST_TEST(H5Aexists_by_name(file, "/fields", "DIMENSION_LIST", H5P_DEFAULT) > 0);
}

BOOST_AUTO_TEST_SUITE_END()
