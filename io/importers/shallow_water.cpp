#include "io/importers/shallow_water.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "base/random.hpp"
#include "io/importers/array_file.hpp"
#include "io/importers/importer.hpp"

namespace trireme {

namespace {

constexpr std::uint64_t year_purpose = 0x79656172;  // "year"
constexpr std::uint64_t first_test_year = std::uint64_t{1} << 40;
constexpr double spin_up = 15 * 86400.0;   // left out at the beginning of each year
constexpr double longest_step = 360 * 32;  // seconds times rows: half of what is stable at 32 rows
constexpr double pi = std::numbers::pi;

}  // namespace

ShallowWater::ShallowWater(int rows, std::uint64_t seed, std::uint64_t year)
    : rows_(rows), columns_(2 * rows), side_(breadth / rows), viscosity_(1e4 * 32 / rows), relaxation_(1 / tau) {
  RandomStream random(mix(seed, year_purpose), year);
  const double speed = random.uniform(55, 70), middle = breadth / 2 + random.uniform(-2e5, 2e5), half_width = random.uniform(3e5, 4e5);
  const auto jet = [&](double y) { return speed / std::pow(std::cosh((y - middle) / half_width), 2); };
  const auto cells = static_cast<std::size_t>(rows_) * static_cast<std::size_t>(columns_);
  for (State* state : {&state_, &stage_, &change_, &sum_})
    for (auto* field : {&state->h, &state->u, &state->v}) field->assign(cells, 0.0);
  for (auto* field : {&flux_u_, &flux_v_, &vorticity_, &bernoulli_}) field->assign(cells, 0.0);
  // The height in geostrophic balance: g dH/dy = -f U, with the mean of all rows.
  double height = 0, sum = 0;
  for (int j = 0; j < rows_; ++j) {
    jet_u_.push_back(jet((j + 0.5) * side_));
    if (j > 0) height -= side_ / gravity * coriolis(j - 0.5) * jet(j * side_);
    jet_h_.push_back(height);
    sum += height;
  }
  for (double& h : jet_h_) h += mean_height - sum / rows_;
  // The disturbance: waves in the stream function psi, added in balance: u = -dpsi/dy, v = dpsi/dx, h = f0 psi / g. It is 0 at the walls.
  struct Wave {
    int zonal, meridional;
    double amplitude, phase;
  };
  std::vector<Wave> waves;
  for (int m = 1; m <= 6; ++m)
    for (int n = 1; n <= 4; ++n) waves.push_back({m, n, 6e5 * random.normal() / (m + n), random.uniform(0, 2 * pi)});
  const double length = columns_ * side_;
  const auto stream = [&](double x, double y) {
    double psi = 0;
    for (const Wave& w : waves) psi += w.amplitude * std::cos(2 * pi * w.zonal * x / length + w.phase) * std::sin(w.meridional * pi * y / breadth);
    return psi;
  };
  for (int j = 0; j < rows_; ++j)
    for (int i = 0; i < columns_; ++i) {
      const double x = i * side_, y = j * side_;  // the southwest corner of the cell
      const double north_east = stream(x + side_, y + side_);
      state_.u[cell(j, i)] = jet_u_[static_cast<std::size_t>(j)] - (north_east - stream(x + side_, y)) / side_;
      state_.v[cell(j, i)] = j + 1 == rows_ ? 0 : (north_east - stream(x, y + side_)) / side_;
      state_.h[cell(j, i)] = jet_h_[static_cast<std::size_t>(j)] + f0 / gravity * stream(x + side_ / 2, y + side_ / 2);
    }
}

// Five-point Laplacian; nothing flows through the walls.
double ShallowWater::laplace(const std::vector<double>& field, int row, int column) const {
  const double here = field[cell(row, column)];
  double sum = field[cell(row, east(column))] + field[cell(row, west(column))] - 2 * here;
  if (row > 0) sum += field[cell(row - 1, column)] - here;
  if (row + 1 < rows_) sum += field[cell(row + 1, column)] - here;
  return sum / (side_ * side_);
}

void ShallowWater::tendency(const State& s, State& change) {
  const double d = side_;
  for (int j = 0; j < rows_; ++j)
    for (int i = 0; i < columns_; ++i) {
      const std::size_t at = cell(j, i), to_east = cell(j, east(i)), to_west = cell(j, west(i));
      const bool wall = j + 1 == rows_;
      const double v_south = j == 0 ? 0 : s.v[cell(j - 1, i)];
      flux_u_[at] = 0.5 * (s.h[at] + s.h[to_east]) * s.u[at];
      flux_v_[at] = wall ? 0 : 0.5 * (s.h[at] + s.h[cell(j + 1, i)]) * s.v[at];
      bernoulli_[at] = gravity * s.h[at] + 0.25 * (s.u[at] * s.u[at] + s.u[to_west] * s.u[to_west] + s.v[at] * s.v[at] + v_south * v_south);
      // Potential vorticity at the northeast corner. The relative vorticity is 0 at the walls: the fluid slips along them.
      const double f = coriolis(j + 0.5);
      if (wall) {
        vorticity_[at] = f / (0.5 * (s.h[at] + s.h[to_east]));
      } else {
        const std::size_t north = cell(j + 1, i), north_east = cell(j + 1, east(i));
        const double relative = (s.v[to_east] - s.v[at]) / d - (s.u[north] - s.u[at]) / d;
        vorticity_[at] = (f + relative) / (0.25 * (s.h[at] + s.h[to_east] + s.h[north] + s.h[north_east]));
      }
    }
  for (int j = 0; j < rows_; ++j)
    for (int i = 0; i < columns_; ++i) {
      const std::size_t at = cell(j, i), to_east = cell(j, east(i)), to_west = cell(j, west(i));
      const bool wall = j + 1 == rows_;
      const auto row = static_cast<std::size_t>(j);
      // At the southern wall the flux is 0, so the vorticity there does not matter beyond its mean with that of the north.
      const double q_south = j == 0 ? coriolis(-0.5) / (0.5 * (s.h[at] + s.h[to_east])) : vorticity_[cell(j - 1, i)];
      const double south_fluxes = j == 0 ? 0 : flux_v_[cell(j - 1, i)] + flux_v_[cell(j - 1, east(i))];
      const double v_mean = 0.25 * (flux_v_[at] + flux_v_[to_east] + south_fluxes);
      change.u[at] = 0.5 * (vorticity_[at] + q_south) * v_mean - (bernoulli_[to_east] - bernoulli_[at]) / d + viscosity_ * laplace(s.u, j, i) +
                     relaxation_ * (jet_u_[row] - s.u[at]);
      if (wall) {
        change.v[at] = 0;
      } else {
        const std::size_t north = cell(j + 1, i), north_west = cell(j + 1, west(i));
        const double u_mean = 0.25 * (flux_u_[at] + flux_u_[to_west] + flux_u_[north] + flux_u_[north_west]);
        change.v[at] = -0.5 * (vorticity_[at] + vorticity_[to_west]) * u_mean - (bernoulli_[north] - bernoulli_[at]) / d + viscosity_ * laplace(s.v, j, i) -
                       relaxation_ * s.v[at];
      }
      const double v_south = j == 0 ? 0 : flux_v_[cell(j - 1, i)];
      change.h[at] = -(flux_u_[at] - flux_u_[to_west] + flux_v_[at] - v_south) / d + viscosity_ * laplace(s.h, j, i) + relaxation_ * (jet_h_[row] - s.h[at]);
    }
}

void ShallowWater::advance(double seconds) {
  const auto steps = static_cast<int>(std::ceil(seconds * rows_ / longest_step));
  const double dt = seconds / steps;
  const std::array<double, 4> weights{1, 2, 2, 1}, next{0.5, 0.5, 1, 0};
  const auto fields = [](State& state) { return std::array{&state.h, &state.u, &state.v}; };
  for (int step = 0; step < steps; ++step) {
    sum_ = state_;
    stage_ = state_;
    for (std::size_t k = 0; k < 4; ++k) {
      tendency(stage_, change_);
      for (std::size_t f = 0; f < 3; ++f) {
        const std::vector<double>&change = *fields(change_)[f], &start = *fields(state_)[f];
        std::vector<double>&sum = *fields(sum_)[f], &stage = *fields(stage_)[f];
        for (std::size_t i = 0; i < sum.size(); ++i) {
          sum[i] += dt / 6 * weights[k] * change[i];
          stage[i] = start[i] + next[k] * dt * change[i];
        }
      }
    }
    std::swap(state_, sum_);
  }
}

double ShallowWater::mass() const {
  double sum = 0;
  for (const double h : state_.h) sum += h;
  return sum / static_cast<double>(state_.h.size());
}

double ShallowWater::energy() const {
  double sum = 0;
  for (int j = 0; j < rows_; ++j)
    for (int i = 0; i < columns_; ++i) {
      const std::size_t at = cell(j, i);
      const double h = state_.h[at], u = state_.u[at], v = state_.v[at];
      const double h_north = j + 1 == rows_ ? h : state_.h[cell(j + 1, i)];
      sum += 0.25 * (h + state_.h[cell(j, east(i))]) * u * u + 0.25 * (h + h_north) * v * v + 0.5 * gravity * h * h;
    }
  return sum / static_cast<double>(state_.h.size());
}

void ShallowWater::copy_to(std::span<float> out) const {
  const std::size_t cells = state_.h.size();
  if (out.size() != 3 * cells) throw internal_error("the fields have {} numbers, not {}", 3 * cells, out.size());
  for (int j = 0; j < rows_; ++j)
    for (int i = 0; i < columns_; ++i) {
      const std::size_t at = cell(j, i);
      out[at] = static_cast<float>(state_.h[at]);
      out[cells + at] = static_cast<float>(0.5 * (state_.u[at] + state_.u[cell(j, west(i))]));
      out[2 * cells + at] = static_cast<float>(0.5 * (state_.v[at] + (j == 0 ? 0 : state_.v[cell(j - 1, i)])));
    }
}

ShallowWaterSource::ShallowWaterSource(std::uint64_t seed, std::int64_t years, std::int64_t test_years, std::int64_t steps, double hours, int rows)
    : seed_(seed), years_(years, test_years), steps_(steps), hours_(hours), rows_(rows) {
  layout_.sample = Shape{shallow_water_channels, rows, 2 * rows};
  layout_.feature_type = ElementType::f32;
}

std::string ShallowWaterSource::file_name(Part, std::int64_t file) const { return fmt::format("year-{:04}.h5", file); }

std::vector<double> ShallowWaterSource::write(Part part, std::int64_t file, const std::filesystem::path& path, int gzip) const {
  ShallowWater model(rows_, seed_, static_cast<std::uint64_t>(file) + (part == Part::train ? 0 : first_test_year));
  const auto numbers = static_cast<std::size_t>(layout_.sample.size());
  std::vector<float> fields(static_cast<std::size_t>(steps_) * numbers);
  std::vector<double> time, lat, lon;
  model.advance(spin_up);
  for (std::size_t step = 0; step < static_cast<std::size_t>(steps_); ++step) {
    if (step > 0) model.advance(hours_ * 3600);
    model.copy_to(std::span(fields).subspan(step * numbers, numbers));
    time.push_back(static_cast<double>(step) * hours_);
  }
  if (!std::ranges::all_of(fields, [](float value) { return std::isfinite(value); }))
    throw internal_error("the shallow-water model is unstable with --size {} and --seed {}", rows_, seed_);
  constexpr double degree = 111.2e3;  // m
  for (int j = 0; j < rows_; ++j) lat.push_back(45 + ((j + 0.5) / rows_ - 0.5) * ShallowWater::breadth / degree);
  for (int i = 0; i < 2 * rows_; ++i) lon.push_back((i + 0.5) * 180 / rows_);
  const std::vector<std::int32_t> channel{0, 1, 2};
  const auto scale = [](const char* name, const auto& values, ElementType type, std::vector<std::pair<std::string, std::string>> texts) {
    return FileArray{name, type, Shape{static_cast<std::int64_t>(values.size())}, std::as_bytes(std::span(values)), std::move(texts), {}, true};
  };
  const std::array<FileArray, 5> arrays{
      scale("/time", time, ElementType::f64, {{"units", "hours since 2000-01-01 00:00:00"}, {"calendar", "noleap"}, {"long_name", "time"}}),
      scale("/channel", channel, ElementType::i32, {{"long_name", "0: height (m), 1: eastward wind (m/s), 2: northward wind (m/s)"}}),
      scale("/lat", lat, ElementType::f64, {{"units", "degrees_north"}, {"long_name", "latitude"}}),
      scale("/lon", lon, ElementType::f64, {{"units", "degrees_east"}, {"long_name", "longitude, of a planet whose parallel is as long as the channel"}}),
      FileArray{
          "/fields",
          ElementType::f32,
          layout_.sample.with_first(steps_),
          std::as_bytes(std::span(fields)),
          {{"long_name", "height, eastward wind and northward wind of a rotating shallow-water model"}, {"channels", "height,u,v"}, {"units", "m,m/s,m/s"}},
          {"/time", "/channel", "/lat", "/lon"}}};
  write_array_file(path, arrays, gzip);
  return {};
}

TRIREME_IMPORTER(shallow_water) {
  using enum ImporterOption::Type;
  return {.source = "",
          .help = "synthetic weather: a rotating shallow-water model, one file per year with fields (time, channel, lat, lon)",
          .options = {{"years", integer, "5", "number of training files, each with an initial state of its own", 1, 100000},
                      {"test-years", integer, "1", "number of test files", 0, 100000},
                      {"steps", integer, "240", "time steps per file", 2, 1000000},
                      {"hours", integer, "3", "hours between time steps", 1, 240},
                      {"size", integer, "32", "rows; there are twice as many columns; 16 to 256", 16, 256},
                      seed_option("random seed; the same seed makes the same years")},
          .open = [](const std::filesystem::path&, const ImporterOptions& options) {
            return std::make_unique<ShallowWaterSource>(static_cast<std::uint64_t>(options.integer("seed")), options.integer("years"),
                                                        options.integer("test-years"), options.integer("steps"), static_cast<double>(options.integer("hours")),
                                                        static_cast<int>(options.integer("size")));
          }};
}

}  // namespace trireme
