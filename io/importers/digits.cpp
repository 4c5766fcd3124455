#include "io/importers/digits.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "io/importers/digit_strokes.hpp"
#include "io/importers/importer.hpp"

namespace trireme {

namespace {

constexpr std::uint64_t class_purpose = 0x636c617373;  // "class"
constexpr std::uint64_t glyph_purpose = 0x676c797068;  // "glyph"
constexpr std::uint64_t first_test_index = std::uint64_t{1} << 40;

// Random deviation of one sample from the ideal glyph. Chosen so that a small convolutional network trained on 20,000 samples has an error of about
// one percent.
struct Hand {
  double xx, xy, yx, yy;          // the affine map, glyph units to pixels
  double x0, y0;                  // centre, pixels
  double wobble, wave_x, wave_y;  // displacement along slow waves: amplitude in glyph units, phases
  double pen;                     // half the stroke's width, pixels
  double softness;                // width of the stroke's edge, pixels
  double contrast;
  double noise;  // standard deviation, of full brightness

  explicit Hand(RandomStream& random) {
    const double angle = std::clamp(0.16 * random.normal(), -0.5, 0.5);
    const double slant = random.uniform(-0.15, 0.4);  // most handwriting slants to the right
    const double width = random.uniform(6.5, 10.5), height = random.uniform(7.5, 10.5);
    const double c = std::cos(angle), s = std::sin(angle);
    xx = c * width;
    xy = -c * width * slant - s * height;
    yx = s * width;
    yy = -s * width * slant + c * height;
    x0 = 13.5 + random.uniform(-2.5, 2.5);
    y0 = 13.5 + random.uniform(-2.5, 2.5);
    wobble = random.uniform(0.0, 0.14);
    wave_x = random.uniform(0.0, 6.283);
    wave_y = random.uniform(0.0, 6.283);
    pen = random.uniform(0.5, 1.7);
    softness = random.uniform(0.9, 2.0);
    contrast = random.uniform(0.55, 1.0);
    noise = random.uniform(0.0, 0.13);
  }

  StrokePoint place(StrokePoint p) const {
    const double x = p.x + wobble * std::sin(2.5 * p.y + wave_x);
    const double y = p.y + wobble * std::sin(3.0 * p.x + wave_y);
    return {x0 + xx * x + xy * y, y0 + yx * x + yy * y};
  }
};

double squared_distance(double x, double y, const StrokePoint& a, const StrokePoint& b) {
  const double dx = b.x - a.x, dy = b.y - a.y;
  const double length = dx * dx + dy * dy;
  const double t = length > 0 ? std::clamp(((x - a.x) * dx + (y - a.y) * dy) / length, 0.0, 1.0) : 0.0;
  const double ex = x - a.x - t * dx, ey = y - a.y - t * dy;
  return ex * ex + ey * ey;
}

// Squared distance to the strokes, up to a distance of `reach`.
class DistanceField {
 public:
  explicit DistanceField(double reach) : reach_(reach) { squared_.fill(reach * reach); }

  void add(const StrokePoint& a, const StrokePoint& b) {
    const auto [left, right] = cover(a.x, b.x);
    const auto [top, bottom] = cover(a.y, b.y);
    for (int row = top; row <= bottom; ++row)
      for (int column = left; column <= right; ++column) {
        double& here = squared_[static_cast<std::size_t>(row * digit_extent + column)];
        here = std::min(here, squared_distance(column, row, a, b));
      }
  }
  double operator[](std::size_t pixel) const { return std::sqrt(squared_[pixel]); }

 private:
  std::pair<int, int> cover(double a, double b) const {
    const double low = std::floor(std::min(a, b) - reach_), high = std::ceil(std::max(a, b) + reach_);
    return {static_cast<int>(std::clamp(low, 0.0, double{digit_extent})), static_cast<int>(std::clamp(high, -1.0, double{digit_extent - 1}))};
  }

  double reach_;
  std::array<double, digit_pixels> squared_;
};

}  // namespace

int digit_class(std::uint64_t seed, std::uint64_t index) {
  RandomStream random(mix(seed, class_purpose), index / 10);
  std::array<int, 10> order{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
  return order[index % 10];
}

void draw_digit(std::uint64_t seed, std::uint64_t index, std::span<std::uint8_t, digit_pixels> out) {
  constexpr double jitter = 0.065;
  RandomStream random(mix(seed, glyph_purpose), index);
  const auto strokes = write_digit(digit_class(seed, index), jitter, random);
  const Hand hand(random);
  DistanceField distance(hand.pen + hand.softness);
  for (const auto& stroke : strokes) {
    StrokePoint from = hand.place(stroke.front());
    for (std::size_t i = 1; i < stroke.size(); ++i) {
      const StrokePoint to = hand.place(stroke[i]);
      distance.add(from, to);
      from = to;
    }
  }
  for (std::size_t pixel = 0; pixel < out.size(); ++pixel) {
    const double edge = std::clamp(0.5 + (hand.pen - distance[pixel]) / hand.softness, 0.0, 1.0);
    const double ink = edge * edge * (3 - 2 * edge);
    const double value = hand.contrast * ink + hand.noise * random.normal();
    out[pixel] = static_cast<std::uint8_t>(std::lround(255 * std::clamp(value, 0.0, 1.0)));
  }
}

DigitSource::DigitSource(std::uint64_t seed, std::int64_t train, std::int64_t test) : seed_(seed), counts_(train, test) {
  layout_.sample = Shape{1, digit_extent, digit_extent};
}

void DigitSource::stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const {
  constexpr std::int64_t block = 256;
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(block * digit_pixels));
  std::vector<std::int64_t> labels(static_cast<std::size_t>(block));
  for (const Part part : all_parts) {
    const std::uint64_t base = part == Part::train ? 0 : first_test_index;
    for (std::int64_t first = wanted[part].first; first < wanted[part].end; first += block) {
      const auto n = static_cast<std::size_t>(std::min(block, wanted[part].end - first));
      for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t index = base + static_cast<std::uint64_t>(first) + i;
        labels[i] = digit_class(seed_, index);
        draw_digit(seed_, index, std::span<std::uint8_t, digit_pixels>(pixels.data() + i * digit_pixels, digit_pixels));
      }
      sink(part, static_cast<std::int64_t>(n), std::as_bytes(std::span(pixels).first(n * digit_pixels)), std::as_bytes(std::span(labels).first(n)));
    }
  }
}

TRIREME_IMPORTER(digits) {
  return {.source = "",
          .help = "synthetic 28x28 images of the digits 0 to 9",
          .options = {train_option("20000"), test_option("4000"),
                      seed_option("random "
                                  "seed; the same seed makes the same samples")},
          .open = [](const std::filesystem::path&, const ImporterOptions& options) {
            return std::make_unique<DigitSource>(static_cast<std::uint64_t>(options.integer("seed")), options.integer("train"), options.integer("test"));
          }};
}

}  // namespace trireme
