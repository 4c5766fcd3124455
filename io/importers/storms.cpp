#include "io/importers/storms.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string_view>

#include "base/random.hpp"
#include "io/importers/array_file.hpp"
#include "io/importers/importer.hpp"

namespace trireme {

// Means and deviations have the size of those of the CAM5 model's output; they are no climatology.
const std::array<StormChannel, storm_channels> storm_channel_table{{
    {"TMQ", "kg/m2", 42, 5, 3.5, 1},
    {"U850", "m/s", -4, 6, 3.5, 0.8},
    {"V850", "m/s", 0, 0, 3.5, 0.8},
    {"UBOT", "m/s", -3, 4, 2.5, 0.8},
    {"VBOT", "m/s", 0, 0, 2.5, 0.8},
    {"QREFHT", "kg/kg", 0.017, 0.003, 0.0012, 0.0003},
    {"PS", "Pa", 101000, 100200, 350, 60},
    {"PSL", "Pa", 101200, 100600, 350, 50},
    {"T200", "K", 220, 218, 1.5, 0.3},
    {"T500", "K", 268, 240, 1.8, 0.3},
    {"PRECT", "m/s", 6e-8, 2e-8, 1.5e-8, 1e-8},
    {"TS", "K", 300, 260, 2, 0.4},
    {"TREFHT", "K", 299, 258, 2, 0.4},
    {"Z1000", "m", 110, 60, 25, 5},
    {"Z200", "m", 12400, 11300, 60, 8},
    {"ZBOT", "m", 64, 58, 0.8, 0.1},
}};

namespace {

enum Channel : std::uint8_t { TMQ, U850, V850, UBOT, VBOT, QREFHT, PS, PSL, T200, T500, PRECT, TS, TREFHT, Z1000, Z200, ZBOT };

constexpr std::uint64_t storm_purpose = 0x73746f726d73;  // "storms"
constexpr std::uint64_t noise_purpose = 0x6e6f697365;    // "noise"
constexpr std::uint64_t first_test_sample = std::uint64_t{1} << 40;
constexpr double pi = std::numbers::pi;

// One map while it is drawn.
struct Map {
  int height, width;
  std::span<float> values;
  std::span<std::int64_t> labels;

  double scale() const { return height / 64.0; }  // pixels per pixel of a map of 64 rows
  double latitude(double row) const { return 90 - (row + 0.5) * 180 / height; }
  double row_of(double latitude) const { return (90 - latitude) * height / 180 - 0.5; }
  std::size_t pixel(int row, int column) const { return static_cast<std::size_t>(row) * static_cast<std::size_t>(width) + static_cast<std::size_t>(column); }
  void add(int row, int column, Channel channel, double value) { values[pixel(row, column) * storm_channels + channel] += static_cast<float>(value); }
  /// Calls action(row, column, dy, dx) for the pixels within `reach` rows and columns of a point, each once; dy to the north, dx to the east.
  template <class Action>
  void around(double row, double column, double reach, const Action& action) {
    const int first = static_cast<int>(std::ceil(column - std::min(reach, width / 2.0 - 0.5)));
    const int last = std::min(first + width - 1, static_cast<int>(std::floor(column + std::min(reach, width / 2.0 - 0.5))));
    for (int y = std::max(0, static_cast<int>(std::ceil(row - reach))); y <= std::min(height - 1, static_cast<int>(std::floor(row + reach))); ++y)
      for (int x = first; x <= last; ++x) action(y, ((x % width) + width) % width, row - y, x - column);
  }
};

double square(double x) { return x * x; }

// Noise with amplitudes (1 + m^2 + n^2)^-0.8 of the waves m around the globe and n from pole to pole, scaled to a variance of 1.
std::vector<double> smooth_noise(int height, int width, RandomStream& random) {
  constexpr int zonal = 9, meridional = 7;
  const auto w = static_cast<std::size_t>(width);
  std::vector<double> rows(static_cast<std::size_t>(meridional) * w, 0.0), noise(static_cast<std::size_t>(height) * w, 0.0);
  double variance = 0;
  for (int n = 0; n < meridional; ++n)
    for (int m = 0; m < zonal; ++m) {
      const double amplitude = std::pow(1.0 + m * m + n * n, -0.8), a = amplitude * random.normal(), b = amplitude * random.normal();
      variance += amplitude * amplitude * (n == 0 ? 1 : 0.5);
      for (int x = 0; x < width; ++x) {
        const double angle = 2 * pi * m * x / width;
        rows[static_cast<std::size_t>(n) * w + static_cast<std::size_t>(x)] += a * std::cos(angle) + b * std::sin(angle);
      }
    }
  for (int y = 0; y < height; ++y)
    for (int n = 0; n < meridional; ++n) {
      const double factor = std::cos(n * pi * (y + 0.5) / height) / std::sqrt(variance);
      for (std::size_t x = 0; x < w; ++x) noise[static_cast<std::size_t>(y) * w + x] += factor * rows[static_cast<std::size_t>(n) * w + x];
    }
  return noise;
}

void draw_background(Map& map, std::uint64_t seed, std::uint64_t sample) {
  for (std::size_t channel = 0; channel < storm_channels; ++channel) {
    const StormChannel& spec = storm_channel_table[channel];
    RandomStream random(mix(mix(seed, noise_purpose), channel), sample);
    const std::vector<double> noise = smooth_noise(map.height, map.width, random);
    for (int y = 0; y < map.height; ++y) {
      const double mean = spec.pole + (spec.equator - spec.pole) * square(std::cos(map.latitude(y) * pi / 180));
      for (int x = 0; x < map.width; ++x) {
        const std::size_t pixel = map.pixel(y, x);
        map.values[pixel * storm_channels + channel] = static_cast<float>(mean + spec.smooth * noise[pixel] + spec.white * random.normal());
      }
    }
  }
}

double side(RandomStream& random) { return random.uniform() < 0.5 ? -1 : 1; }

// Wind around a low: counterclockwise in the north, clockwise in the south.
void turn_wind(Map& map, int row, int column, double speed, double dy, double dx, double hemisphere) {
  const double r = std::hypot(dy, dx);
  if (r == 0) return;
  const double east = -hemisphere * speed * dy / r, north = hemisphere * speed * dx / r;
  map.add(row, column, U850, east), map.add(row, column, V850, north);
  map.add(row, column, UBOT, 0.8 * east), map.add(row, column, VBOT, 0.8 * north);
}

// Distractors: lows of high latitudes, wider and with a cold core, and round regions of moist air.
void draw_distractors(Map& map, RandomStream& random) {
  const auto lows = 1 + random.below(2);
  for (std::uint64_t i = 0; i < lows; ++i) {
    const double hemisphere = side(random), row = map.row_of(hemisphere * random.uniform(38, 65)), column = random.uniform(0, map.width);
    const double radius = random.uniform(3, 5) * map.scale(), depth = random.uniform(1500, 3500), wind = random.uniform(10, 18), cold = random.uniform(2, 4);
    map.around(row, column, 4 * radius, [&](int y, int x, double dy, double dx) {
      const double r = std::hypot(dy, dx) / radius, core = std::exp(-square(r));
      map.add(y, x, PS, -depth * core), map.add(y, x, PSL, -depth * core), map.add(y, x, Z1000, -depth / 12 * core);
      map.add(y, x, T500, -cold * core), map.add(y, x, PRECT, 4e-8 * core);
      turn_wind(map, y, x, wind * r * std::exp(1 - r), dy, dx, hemisphere);
    });
  }
  const auto moist = 2 + random.below(3);
  for (std::uint64_t i = 0; i < moist; ++i) {
    const double row = map.row_of(random.uniform(-45, 45)), column = random.uniform(0, map.width);
    const double radius = random.uniform(4, 8) * map.scale(), moisture = random.uniform(6, 14);
    map.around(row, column, 3 * radius, [&](int y, int x, double dy, double dx) {
      const double core = std::exp(-(square(dy) + square(dx)) / square(radius));
      map.add(y, x, TMQ, moisture * core), map.add(y, x, QREFHT, 1e-4 * moisture * core), map.add(y, x, PRECT, 3e-8 * core);
    });
  }
}

void draw_river(Map& map, RandomStream& random) {
  const double hemisphere = side(random), half_width = random.uniform(1.6, 2.6) * map.scale(), length = random.uniform(22, 38) * map.scale();
  const double moisture = random.uniform(16, 26), speed = random.uniform(12, 20), turn = random.uniform(-0.7, 0.7);
  double row = map.row_of(hemisphere * random.uniform(12, 20)), column = random.uniform(0, map.width), heading = random.uniform(0.35, 0.95);
  const double far = 1e30;
  std::vector<double> distance(map.labels.size(), far), direction(map.labels.size(), 0.0);
  const int steps = static_cast<int>(std::ceil(3 * length));
  for (int i = 0; i <= steps; ++i) {
    map.around(row, column, 3 * half_width, [&](int y, int x, double dy, double dx) {
      const std::size_t pixel = map.pixel(y, x);
      const double d = std::hypot(dy, dx);
      if (d < distance[pixel]) distance[pixel] = d, direction[pixel] = heading;
    });
    row -= hemisphere * std::sin(heading) * length / steps, column += std::cos(heading) * length / steps;
    heading += turn / steps;
  }
  for (int y = 0; y < map.height; ++y)
    for (int x = 0; x < map.width; ++x) {
      const std::size_t pixel = map.pixel(y, x);
      if (distance[pixel] == far) continue;
      const double core = std::exp2(-square(distance[pixel] / half_width));
      const double east = speed * std::cos(direction[pixel]) * core, north = hemisphere * speed * std::sin(direction[pixel]) * core;
      map.add(y, x, TMQ, moisture * core), map.add(y, x, QREFHT, 1.2e-4 * moisture * core), map.add(y, x, PRECT, 6e-8 * core), map.add(y, x, T500, core);
      map.add(y, x, U850, east), map.add(y, x, V850, north), map.add(y, x, UBOT, 0.6 * east), map.add(y, x, VBOT, 0.6 * north);
      if (distance[pixel] <= half_width) map.labels[pixel] = 2;
    }
}

void draw_cyclone(Map& map, RandomStream& random) {
  const double hemisphere = side(random), row = map.row_of(hemisphere * random.uniform(8, 35)), column = random.uniform(0, map.width);
  const double radius = random.uniform(1.3, 2) * map.scale(), depth = random.uniform(2000, 5000), wind = random.uniform(25, 45), warm = random.uniform(3, 6);
  map.around(row, column, 6 * radius, [&](int y, int x, double dy, double dx) {
    const double r = std::hypot(dy, dx) / radius, core = std::exp(-square(r)), wide = std::exp(-square(r / 2)), low = std::exp(-square(r / 1.5));
    map.add(y, x, PS, -depth * low), map.add(y, x, PSL, -1.1 * depth * low), map.add(y, x, Z1000, -depth / 12 * low);
    map.add(y, x, T200, 0.6 * warm * core), map.add(y, x, T500, warm * core), map.add(y, x, Z200, 10 * warm * wide);
    map.add(y, x, TMQ, 18 * wide), map.add(y, x, QREFHT, 0.003 * wide), map.add(y, x, PRECT, 4e-7 * core);
    map.add(y, x, TREFHT, -0.5 * core), map.add(y, x, ZBOT, -0.6 * core);
    turn_wind(map, y, x, wind * r * std::exp(1 - r), dy, dx, hemisphere);
    if (r <= 1.4) map.labels[map.pixel(y, x)] = 1;
  });
}

}  // namespace

StormMaker::StormMaker(int height, int width) : height_(height), width_(width) {}

void StormMaker::draw(std::uint64_t seed, std::uint64_t sample, std::span<float> values, std::span<std::int64_t> labels) const {
  Map map{height_, width_, values, labels};
  std::ranges::fill(labels, 0);
  draw_background(map, seed, sample);
  RandomStream random(mix(seed, storm_purpose), sample);
  // A map of other proportions has as many storms per pixel.
  const auto draws = [&](double mean) { return static_cast<int>(std::floor(mean * 2 * random.uniform() + 0.5)); };
  const double share = static_cast<double>(width_) / height_ / 1.5;
  const int rivers = draws(1.5 * share), cyclones = draws(1.2 * share);
  draw_distractors(map, random);
  for (int i = 0; i < rivers; ++i) draw_river(map, random);
  for (int i = 0; i < cyclones; ++i) draw_cyclone(map, random);
  for (std::size_t i = PRECT; i < values.size(); i += storm_channels) values[i] = std::max(values[i], 0.0f);
}

StormSource::StormSource(std::uint64_t seed, std::int64_t train, std::int64_t test, std::int64_t height, std::int64_t width)
    : seed_(seed), counts_(train, test), maker_(static_cast<int>(height), static_cast<int>(width)) {
  layout_.sample = Shape{height, width, static_cast<std::int64_t>(storm_channels)};
  layout_.feature_type = ElementType::f32;
  layout_.label = Shape{height, width};
}

std::string StormSource::file_name(Part, std::int64_t file) const { return fmt::format("data-{:06}.h5", file); }

std::vector<double> StormSource::write(Part part, std::int64_t file, const std::filesystem::path& path, int gzip) const {
  std::vector<float> values(static_cast<std::size_t>(layout_.sample.size()));
  std::vector<std::int64_t> labels(static_cast<std::size_t>(layout_.label.size()));
  maker_.draw(seed_, static_cast<std::uint64_t>(file) + (part == Part::train ? 0 : first_test_sample), values, labels);
  std::vector<std::string_view> names, units;
  for (const StormChannel& channel : storm_channel_table) names.emplace_back(channel.name), units.emplace_back(channel.unit);
  const std::array<FileArray, 2> arrays{
      FileArray{"/climate/data",
                ElementType::f32,
                layout_.sample,
                std::as_bytes(std::span(values)),
                {{"channels", fmt::format("{}", fmt::join(names, ","))}, {"units", fmt::format("{}", fmt::join(units, ","))}}},
      FileArray{"/climate/labels_0", ElementType::i64, layout_.label, std::as_bytes(std::span(labels)), {{"classes", "background,cyclone,river"}}}};
  write_array_file(path, arrays, gzip);
  std::vector<double> numbers(summary_numbers(), 0.0);
  for (std::size_t c = 0; c < storm_channels; ++c) {
    double least = std::numeric_limits<double>::infinity(), greatest = -least, sum = 0, squares = 0;
    for (std::size_t i = c; i < values.size(); i += storm_channels) {
      const double value = values[i];
      least = std::min(least, value), greatest = std::max(greatest, value);
      sum += value, squares += value * value;
    }
    const auto pixels = static_cast<double>(labels.size());
    std::ranges::copy(std::array{least, greatest, sum / pixels, squares / pixels}, numbers.begin() + static_cast<std::ptrdiff_t>(4 * c));
  }
  return numbers;
}

void StormSource::write_summary(const std::filesystem::path& path, std::span<const double> numbers) const {
  std::array<std::array<float, storm_channels>, 4> of_channels{};
  const std::size_t files = numbers.size() / summary_numbers();
  for (std::size_t c = 0; c < storm_channels; ++c) {
    double least = std::numeric_limits<double>::infinity(), greatest = -least, sum = 0, squares = 0;
    for (std::size_t file = 0; file < files; ++file) {
      const std::span<const double> own = numbers.subspan(file * summary_numbers() + 4 * c, 4);
      least = std::min(least, own[0]), greatest = std::max(greatest, own[1]);
      sum += own[2], squares += own[3];
    }
    const double mean = sum / static_cast<double>(files);
    of_channels[0][c] = static_cast<float>(least), of_channels[1][c] = static_cast<float>(greatest), of_channels[2][c] = static_cast<float>(mean);
    of_channels[3][c] = static_cast<float>(std::sqrt(std::max(0.0, squares / static_cast<double>(files) - mean * mean)));
  }
  const Shape channels{static_cast<std::int64_t>(storm_channels)};
  std::vector<FileArray> arrays;
  for (const auto& [name, values] : {std::pair{"minval", 0}, std::pair{"maxval", 1}, std::pair{"mean", 2}, std::pair{"std", 3}})
    arrays.push_back({fmt::format("/climate/{}", name), ElementType::f32, channels, std::as_bytes(std::span(of_channels[static_cast<std::size_t>(values)]))});
  write_array_file(path, arrays, 0);
}

TRIREME_IMPORTER(storms) {
  using enum ImporterOption::Type;
  return {.source = "",
          .help = "synthetic weather maps with a class for each pixel, in DeepCAM's layout",
          .options = {train_option("512"),
                      test_option("64"),
                      {"height", integer, "64", "rows of a map, 32 to 2048", 32, 2048},
                      {"width", integer, "96", "columns of a map, 32 to 4096", 32, 4096},
                      seed_option("random seed; the same seed makes the same samples")},
          .open = [](const std::filesystem::path&, const ImporterOptions& options) {
            return std::make_unique<StormSource>(static_cast<std::uint64_t>(options.integer("seed")), options.integer("train"), options.integer("test"),
                                                 options.integer("height"), options.integer("width"));
          }};
}

}  // namespace trireme
