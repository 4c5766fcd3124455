#include "io/importers/volumes.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "base/random.hpp"
#include "io/importers/importer.hpp"

namespace trireme {

namespace {

constexpr std::uint64_t shape_purpose = 0x73686170657331;  // "shapes1"
constexpr std::uint64_t grey_purpose = 0x67726579;         // "grey"
constexpr std::uint64_t first_test_sample = std::uint64_t{1} << 40;

using Vector = std::array<double, 3>;

// Directions of the smaller balls of each kind, unit vectors.
std::vector<Vector> directions_of(int kind) {
  const double third = 1 / std::sqrt(3.0), half = std::sqrt(0.75);
  switch (kind) {
    case 1:
      return {{1, 0, 0}, {-1, 0, 0}, {0, 1, 0}, {0, -1, 0}, {0, 0, 1}, {0, 0, -1}};
    case 2: {
      std::vector<Vector> corners;
      for (int i = 0; i < 8; ++i) corners.push_back({i & 1 ? third : -third, i & 2 ? third : -third, i & 4 ? third : -third});
      return corners;
    }
    case 3:
      return {{third, third, third}, {third, -third, -third}, {-third, third, -third}, {-third, -third, third}};
    case 4:
      return {{1, 0, 0}, {0.5, half, 0}, {-0.5, half, 0}, {-1, 0, 0}, {-0.5, -half, 0}, {0.5, -half, 0}};
    default:
      return {{1, 0, 0}, {-1, 0, 0}};
  }
}

// A rotation drawn uniformly: that of a random unit quaternion.
std::array<Vector, 3> random_rotation(RandomStream& random) {
  std::array<double, 4> q{};
  double norm = 0;
  for (double& part : q) part = random.normal(), norm += part * part;
  for (double& part : q) part /= std::sqrt(norm);
  const auto [w, x, y, z] = q;
  return {Vector{1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)}, Vector{2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)},
          Vector{2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)}};
}

struct Labels {
  int extent;
  std::span<std::uint8_t> classes;

  void fill_ball(const Vector& center, double radius, std::uint8_t kind) {
    std::array<int, 3> first{}, last{};
    for (std::size_t d = 0; d < 3; ++d) {
      first[d] = std::max(0, static_cast<int>(std::ceil(center[d] - radius)));
      last[d] = std::min(extent - 1, static_cast<int>(std::floor(center[d] + radius)));
    }
    const auto s = static_cast<std::size_t>(extent);
    for (int z = first[0]; z <= last[0]; ++z)
      for (int y = first[1]; y <= last[1]; ++y)
        for (int x = first[2]; x <= last[2]; ++x) {
          const double dz = z - center[0], dy = y - center[1], dx = x - center[2];
          if (dz * dz + dy * dy + dx * dx <= radius * radius)
            classes[(static_cast<std::size_t>(z) * s + static_cast<std::size_t>(y)) * s + static_cast<std::size_t>(x)] = kind;
        }
  }

  void fill_fractal(const Vector& center, double radius, int levels, const std::vector<Vector>& directions, std::uint8_t kind) {
    fill_ball(center, radius, kind);
    if (levels == 0) return;
    for (const Vector& direction : directions) {
      Vector next = center;
      for (std::size_t d = 0; d < 3; ++d) next[d] += 1.5 * radius * direction[d];
      fill_fractal(next, radius / 2, levels - 1, directions, kind);
    }
  }
};

}  // namespace

void VolumeMaker::draw(std::uint64_t seed, std::uint64_t sample, std::span<std::uint8_t> values, std::span<std::uint8_t> labels) const {
  RandomStream random(mix(seed, shape_purpose), sample);
  std::ranges::fill(labels, std::uint8_t{0});
  Labels shapes{extent_, labels};
  const double scale = extent_ / 32.0;
  const auto fractals = 3 + random.below(3);
  for (std::uint64_t i = 0; i < fractals; ++i) {
    const auto kind = static_cast<int>(1 + random.below(volume_classes - 1));
    Vector center{};
    for (double& part : center) part = random.uniform(4 * scale, extent_ - 4 * scale);
    const double radius = random.uniform(3, 5.5) * scale;
    const auto rotation = random_rotation(random);
    std::vector<Vector> directions;
    for (const Vector& d : directions_of(kind)) {
      Vector& turned = directions.emplace_back();
      for (std::size_t r = 0; r < 3; ++r) turned[r] = rotation[r][0] * d[0] + rotation[r][1] * d[1] + rotation[r][2] * d[2];
    }
    shapes.fill_fractal(center, radius, 2, directions, static_cast<std::uint8_t>(kind));
  }
  RandomStream grey(mix(seed, grey_purpose), sample);
  Vector wave{};
  for (double& part : wave) part = grey.uniform(-2, 2) * std::numbers::pi / extent_;
  const double phase = grey.uniform(0, 2 * std::numbers::pi);
  std::size_t i = 0;
  for (int z = 0; z < extent_; ++z)
    for (int y = 0; y < extent_; ++y)
      for (int x = 0; x < extent_; ++x, ++i) {
        const double mean = labels[i] == 0 ? 45 : 70 + 25 * labels[i];
        const double value = mean + 5 * std::sin(phase + wave[0] * z + wave[1] * y + wave[2] * x) + 10 * grey.normal();
        values[i] = static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0, 255.0)));
      }
}

VolumeSource::VolumeSource(std::uint64_t seed, std::int64_t train, std::int64_t test, std::int64_t extent) : seed_(seed), counts_(train, test) {
  layout_.sample = Shape{1, extent, extent, extent};
  layout_.label = Shape{extent, extent, extent};
  layout_.label_type = ElementType::u8;
}

void VolumeSource::stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const {
  const VolumeMaker maker(static_cast<int>(layout_.sample[1]));
  std::vector<std::uint8_t> values(static_cast<std::size_t>(layout_.sample.size())), labels(values.size());
  for (const Part part : all_parts) {
    const std::uint64_t base = part == Part::train ? 0 : first_test_sample;
    for (std::int64_t i = wanted[part].first; i < wanted[part].end; ++i) {
      maker.draw(seed_, base + static_cast<std::uint64_t>(i), values, labels);
      sink(part, 1, std::as_bytes(std::span(values)), std::as_bytes(std::span(labels)));
    }
  }
}

TRIREME_IMPORTER(volumes) {
  using enum ImporterOption::Type;
  return {.source = "",
          .help = "synthetic 3D volumes of fractals in noise with a class for each voxel",
          .options = {train_option("256"),
                      test_option("32"),
                      {"size", integer, "32", "voxels per dimension, 16 to 512", 16, 512},
                      seed_option("random seed; the same seed makes the same samples")},
          .open = [](const std::filesystem::path&, const ImporterOptions& options) {
            return std::make_unique<VolumeSource>(static_cast<std::uint64_t>(options.integer("seed")), options.integer("train"), options.integer("test"),
                                                  options.integer("size"));
          }};
}

}  // namespace trireme
