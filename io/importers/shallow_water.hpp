// A rotating shallow-water model: weather in small, for forecasts. A layer of fluid of height h in a channel that is periodic in longitude and has walls in
// latitude, on a beta plane:
//
//   du/dt = q h v - d(g h + k)/dx + nu laplace u + (U - u) / tau       q = (f + dv/dx - du/dy) / h
//   dv/dt = -q h u - d(g h + k)/dy + nu laplace v - v / tau            k = (u^2 + v^2) / 2
//   dh/dt = -d(h u)/dx - d(h v)/dy + nu laplace h + (H - h) / tau      f = f0 + beta y
//
// on Arakawa's C grid with the scheme of Sadourny (1975) that conserves enstrophy, in time by the classical Runge-Kutta method. A jet (U, H) in geostrophic
// balance, to which the flow relaxes in tau = 6 days, is unstable, so that eddies grow and break without end. Sums of fluxes and of H - h are 0: the mass
// is conserved to rounding.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "io/importers/sample_source.hpp"

namespace trireme {

inline constexpr std::int64_t shallow_water_channels = 3;  // height, eastward wind, northward wind

class ShallowWater {
 public:
  static constexpr double f0 = 1e-4, beta = 1.6e-11, gravity = 9.81, mean_height = 3000, breadth = 4e6, tau = 6 * 86400.0;

  /// `rows` x 2 `rows` cells. Jet and initial disturbance depend on (seed, year) only.
  ShallowWater(int rows, std::uint64_t seed, std::uint64_t year);
  /// Steps of equal length, not above what is stable, that add up to `seconds`.
  void advance(double seconds);
  /// Mean height in m.
  double mass() const;
  /// Mean of h (u^2 + v^2) / 2 + g h^2 / 2 over the cells, in m^3/s^2.
  double energy() const;
  /// Height, eastward wind and northward wind at the centers of the cells: (channels, rows, columns), row 0 in the south.
  void copy_to(std::span<float> out) const;
  /// Turns off the relaxation and the viscosity: energy is then conserved up to the errors of the scheme.
  void set_free() { viscosity_ = 0, relaxation_ = 0; }

 private:
  struct State {
    std::vector<double> h, u, v;  // v: at the north sides of the cells; the last row is the wall
  };
  std::size_t cell(int row, int column) const { return static_cast<std::size_t>(row) * static_cast<std::size_t>(columns_) + static_cast<std::size_t>(column); }
  int east(int column) const { return column + 1 == columns_ ? 0 : column + 1; }
  int west(int column) const { return column == 0 ? columns_ - 1 : column - 1; }
  double coriolis(double row) const { return f0 + beta * ((row + 0.5) * side_ - breadth / 2); }
  void tendency(const State& state, State& change);
  double laplace(const std::vector<double>& field, int row, int column) const;

  int rows_, columns_;
  double side_;                        // of a cell, m
  double viscosity_, relaxation_;      // m^2/s, 1/s
  std::vector<double> jet_u_, jet_h_;  // of each row
  State state_;
  State stage_, change_, sum_;
  std::vector<double> flux_u_, flux_v_, vorticity_, bernoulli_;
};

/// One file per year: /fields (time, channel, lat, lon) float32 with the scales /time, /channel, /lat and /lon.
class ShallowWaterSource : public FileSource {
 public:
  ShallowWaterSource(std::uint64_t seed, std::int64_t years, std::int64_t test_years, std::int64_t steps, double hours, int rows);
  const SampleLayout& layout() const override { return layout_; }
  std::int64_t count(Part part) const override { return years_[part] * steps_; }
  std::int64_t files(Part part) const override { return years_[part]; }
  std::string file_name(Part part, std::int64_t file) const override;
  std::vector<double> write(Part part, std::int64_t file, const std::filesystem::path& path, int gzip) const override;

 private:
  std::uint64_t seed_;
  PerPart<std::int64_t> years_;
  std::int64_t steps_;
  double hours_;
  int rows_;
  SampleLayout layout_;
};

}  // namespace trireme
