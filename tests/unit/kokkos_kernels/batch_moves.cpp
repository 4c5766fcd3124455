// Shifts, rotations, changes of values and erased boxes of training samples, against plain arrays moved as numpy.roll, pad, flip and rot90 do.
#include <boost/test/unit_test.hpp>
#include <map>

#include "kokkos_kernels/batch.hpp"
#include "regions.hpp"
#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

/// One channel of a sample, (D, H, W).
struct Field {
  std::array<std::int64_t, 3> extents;
  std::vector<float> values;

  float& at(std::int64_t z, std::int64_t y, std::int64_t x) { return values[static_cast<std::size_t>((z * extents[1] + y) * extents[2] + x)]; }
};

/// A field whose element at (z, y, x) is that of `from` at the coordinates that `where` gives; outside: 0.
template <class F>
Field moved(Field from, const std::array<std::int64_t, 3>& extents, const F& where) {
  Field to{extents, std::vector<float>(from.values.size())};
  for (std::int64_t z = 0; z < extents[0]; ++z)
    for (std::int64_t y = 0; y < extents[1]; ++y)
      for (std::int64_t x = 0; x < extents[2]; ++x) {
        std::array<std::int64_t, 3> at = where(std::array<std::int64_t, 3>{z, y, x});
        bool inside = true;
        for (std::size_t a = 0; a < 3; ++a) inside &= at[a] >= 0 && at[a] < from.extents[a];
        to.at(z, y, x) = inside ? from.at(at[0], at[1], at[2]) : 0;
      }
  return to;
}

Field roll(const Field& from, std::size_t axis, std::int64_t by) {
  return moved(from, from.extents, [&](auto at) { return at[axis] = ((at[axis] - by) % from.extents[axis] + from.extents[axis]) % from.extents[axis], at; });
}
Field crop(const Field& from, std::size_t axis, std::int64_t offset) {
  return moved(from, from.extents, [&](auto at) { return at[axis] += offset, at; });
}
Field flip(const Field& from, std::size_t axis) {
  return moved(from, from.extents, [&](auto at) { return at[axis] = from.extents[axis] - 1 - at[axis], at; });
}
/// numpy.rot90(from, 1, axes): transpose, then flip the first axis.
Field quarter(const Field& from, std::size_t first, std::size_t second) {
  const Field turned = moved(from, from.extents, [&](auto at) { return std::swap(at[first], at[second]), at; });
  return flip(turned, first);
}

Field numbered(const std::array<std::int64_t, 3>& extents) {
  Field field{extents, std::vector<float>(static_cast<std::size_t>(extents[0] * extents[1] * extents[2]))};
  for (std::size_t i = 0; i < field.values.size(); ++i) field.values[i] = static_cast<float>(i + 1);
  return field;
}

/// Every result that these choices allow.
std::map<std::vector<float>, int> possible(const Augmentation& a) {
  std::vector<Field> all{numbered({a.extents[0], a.extents[1], a.extents[2]})};
  const auto extend = [&](const auto& results) {
    std::vector<Field> next;
    for (const Field& field : all)
      for (const Field& one : results(field)) next.push_back(one);
    all = next;
  };
  for (std::size_t axis = 0; axis < 3; ++axis)
    extend([&](const Field& field) {
      std::vector<Field> found;
      for (std::int64_t by = 0; by < (a.shift[axis] ? a.extents[axis] : 1); ++by) found.push_back(roll(field, axis, by));
      return found;
    });
  for (std::size_t axis = 0; axis < 3; ++axis)
    extend([&](const Field& field) {
      std::vector<Field> found;
      for (std::int64_t by = -a.crop[axis]; by <= a.crop[axis]; ++by) found.push_back(crop(field, axis, by));
      return found;
    });
  for (std::size_t axis = 0; axis < 3; ++axis)
    extend([&](const Field& field) { return a.flip[axis] ? std::vector<Field>{field, flip(field, axis)} : std::vector<Field>{field}; });
  for (std::size_t plane = 0; plane < 3; ++plane)
    extend([&](const Field& field) {
      const auto first = static_cast<std::size_t>(Augmentation::planes[plane][0]), second = static_cast<std::size_t>(Augmentation::planes[plane][1]);
      std::vector<Field> found{field};
      for (int k = 1; k < (a.rotate[plane] ? 4 : 1); ++k) found.push_back(quarter(found.back(), first, second));
      return found;
    });
  std::map<std::vector<float>, int> results;
  for (const Field& field : all) ++results[field.values];
  return results;
}

/// n augmented samples of `channels` channels, of a box: (n, pixels, channels). Channel c has 1000 c more.
std::vector<float> augmented(const Augmentation& a, std::int64_t n, std::int64_t channels, const Box& box, bool channels_first = false) {
  const Field field = numbered({a.extents[0], a.extents[1], a.extents[2]});
  std::vector<float> raw;
  for (std::int64_t s = 0; s < n; ++s)
    for (std::int64_t c = 0; c < channels; ++c)
      for (const float value : field.values) raw.push_back(value + static_cast<float>(1000 * c));
  const Guarded<float> dev_raw(raw), factor(std::vector<float>(static_cast<std::size_t>(channels), 1)),
      shift(std::vector<float>(static_cast<std::size_t>(channels), 0));
  Guarded<float> out(n * channels * box.pixels());
  const RawSamples samples{.each = nullptr,
                           .first = reinterpret_cast<const std::byte*>(dev_raw.span().data()),
                           .bytes = static_cast<std::int64_t>(field.values.size() * sizeof(float)) * channels};
  augment_batch<float, float>(Execution(), n, channels, samples, factor, shift, a, box, channels_first, out);
  BOOST_TEST(out.guards_hold());
  return out.values();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(batch_moves)

// Each sample is one of those that the choices allow, and each of these comes as often as it should.
BOOST_AUTO_TEST_CASE(are_those_of_numpy_and_come_evenly) {
  const std::vector<Augmentation> cases{{.extents = {1, 1, 7}, .shift = {false, false, true}},
                                        {.extents = {1, 3, 5}, .shift = {false, true, true}},
                                        {.extents = {1, 2, 4}, .flip = {false, false, true}, .crop = {0, 1, 1}, .shift = {false, false, true}},
                                        {.extents = {1, 3, 3}, .rotate = {true, false, false}},
                                        {.extents = {1, 3, 3}, .flip = {false, true, false}, .shift = {false, false, true}, .rotate = {true, false, false}},
                                        {.extents = {3, 2, 3}, .flip = {false, true, false}, .rotate = {false, true, false}},
                                        {.extents = {2, 2, 3}, .crop = {0, 1, 0}, .rotate = {false, false, true}},
                                        {.extents = {2, 2, 2}, .rotate = {true, true, true}}};
  for (Augmentation a : cases) {
    a.key = test_seed();
    const auto allowed = possible(a);
    int ways = 0;
    for (const auto& [values, count] : allowed) ways += count;
    const std::int64_t n = 300 * ways, elements = a.whole().pixels();
    const auto values = augmented(a, n, 1, a.whole());
    std::map<std::vector<float>, int> found;
    for (std::int64_t s = 0; s < n; ++s) ++found[{values.begin() + s * elements, values.begin() + (s + 1) * elements}];
    BOOST_TEST(found.size() == allowed.size());
    for (const auto& [sample, count] : found) {
      BOOST_REQUIRE(allowed.contains(sample));
      const double mean = 300.0 * allowed.at(sample);
      BOOST_TEST(std::abs(count - mean) < 6 * std::sqrt(mean));
    }
  }
}

// Boxes of a sample, channels first, parts of a batch: what each gets is what the whole gets there.
BOOST_AUTO_TEST_CASE(are_the_same_in_parts) {
  RandomStream random(test_seed(), 3);
  for (int trial = 0; trial < 40; ++trial) {
    const std::int64_t side = draw(random, 2, 5), other = draw(random, 1, 4), n = draw(random, 1, 6), channels = draw(random, 1, 3);
    Augmentation a{.extents = {other, side, side}, .shift = {random.below(2) == 1, random.below(2) == 1, true}, .rotate = {random.below(3) > 0, false, false}};
    a.fill = pick<Augmentation::Fill>(random, {Augmentation::Fill::zero, Augmentation::Fill::mean, Augmentation::Fill::edge});
    a.crop[1] = a.crop[2] = draw(random, 0, 2), a.flip[2] = random.below(2) == 1, a.key = test_seed() + static_cast<std::uint64_t>(trial), a.first_sample = 5;
    const auto whole = augmented(a, n, channels, a.whole());
    Box box;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      box.first[axis] = draw(random, 0, a.extents[axis] - 1);
      box.extent[axis] = draw(random, 1, a.extents[axis] - box.first[axis]);
    }
    const auto part = augmented(a, n, channels, box), first = augmented(a, n, channels, box, true);
    bool same = true;
    for (std::int64_t s = 0; s < n; ++s)
      for (std::int64_t p = 0; p < box.pixels(); ++p)
        for (std::int64_t c = 0; c < channels; ++c) {
          const std::int64_t z = box.first[0] + p / (box.extent[1] * box.extent[2]), y = box.first[1] + p / box.extent[2] % box.extent[1],
                             x = box.first[2] + p % box.extent[2];
          const float value = whole[static_cast<std::size_t>((((s * a.extents[0] + z) * side + y) * side + x) * channels + c)];
          same &= value == part[static_cast<std::size_t>((s * box.pixels() + p) * channels + c)];
          same &= value == first[static_cast<std::size_t>((s * channels + c) * box.pixels() + p)];
        }
    BOOST_TEST(same);
    Augmentation later = a;
    later.first_sample += n - 1;
    const auto last = augmented(later, 1, channels, a.whole());
    BOOST_TEST(same_bits(last, std::vector<float>(whole.end() - static_cast<std::ptrdiff_t>(last.size()), whole.end())));
  }
}

// x = a x + b with a uniform in 1 +- contrast and b uniform in +- brightness, one pair for each sample.
BOOST_AUTO_TEST_CASE(colors_are_a_line_for_each_sample) {
  constexpr std::int64_t n = 4000, elements = 3;
  std::vector<double> before;
  for (std::int64_t s = 0; s < n; ++s) before.insert(before.end(), {0.0, 1.0, -2.0});
  Guarded<double> x(before);
  jitter_color<double>(Execution(), n, elements, {.brightness = 0.25, .contrast = 0.5, .key = test_seed(), .first_sample = 3}, x);
  BOOST_TEST(x.guards_hold());
  const auto values = x.values();
  double sums[4] = {};
  for (std::int64_t s = 0; s < n; ++s) {
    const double b = values[static_cast<std::size_t>(3 * s)], a = values[static_cast<std::size_t>(3 * s + 1)] - b;
    BOOST_TEST(std::abs(values[static_cast<std::size_t>(3 * s + 2)] - (b - 2 * a)) < 1e-12);
    BOOST_REQUIRE((a >= 0.5 && a <= 1.5 && b >= -0.25 && b <= 0.25));
    sums[0] += a - 1, sums[1] += (a - 1) * (a - 1), sums[2] += b, sums[3] += b * b;
  }
  BOOST_TEST(std::abs(sums[0] / n) < 5 * 0.5 / std::sqrt(3.0 * n));
  BOOST_TEST(std::abs(sums[1] / n - 0.25 / 3) < 0.01);
  BOOST_TEST(std::abs(sums[2] / n) < 5 * 0.25 / std::sqrt(3.0 * n));
  BOOST_TEST(std::abs(sums[3] / n - 0.0625 / 3) < 0.0025);
  // The same in parts of the batch, and of a sample.
  Guarded<double> last(std::vector<double>{1.0});
  jitter_color<double>(Execution(), 1, 1, {.brightness = 0.25, .contrast = 0.5, .key = test_seed(), .first_sample = 3 + n - 1}, last);
  BOOST_TEST(last.values()[0] == values[static_cast<std::size_t>(3 * (n - 1) + 1)]);
}

BOOST_AUTO_TEST_CASE(pairs_are_mixed_both_ways) {
  RandomStream random(test_seed(), 9);
  for (int trial = 0; trial < 40; ++trial) {
    const std::int64_t n = draw(random, 1, 7), elements = draw(random, 1, 20), turn = draw(random, 0, n - 1);
    const double share = random.uniform();
    const auto before = random_numbers<double>(random, n * elements);
    Guarded<double> x(before);
    mix_pairs<double>(Execution(), n, elements, turn, share, x);
    BOOST_TEST(x.guards_hold());
    std::vector<double> expected(before.size());
    std::int64_t alone = 0;
    for (std::int64_t s = 0; s < n; ++s) {
      const std::int64_t partner = ((turn - s) % n + n) % n;
      alone += partner == s ? 1 : 0;
      for (std::int64_t e = 0; e < elements; ++e) {
        const double a = before[static_cast<std::size_t>(s * elements + e)], b = before[static_cast<std::size_t>(partner * elements + e)];
        expected[static_cast<std::size_t>(s * elements + e)] = partner == s ? a : share * a + (1 - share) * b;
      }
    }
    BOOST_TEST(alone <= 2);
    BOOST_TEST(distance(x.values(), expected, 1) <= rounding<double>);
  }
}

BOOST_AUTO_TEST_CASE(erased_boxes_are_uniform_and_the_same_in_parts) {
  constexpr std::int64_t n = 6000, height = 5, width = 8, channels = 2;
  const Erasing erasing{.probability = 0.75, .longest = {1, 2, 4}, .key = test_seed(), .first_sample = 1};
  const Region whole{.box = {.extent = {1, height, width}}, .extents = {1, height, width}, .channels = channels, .local_channels = channels};
  Guarded<float> x(std::vector<float>(static_cast<std::size_t>(n * height * width * channels), 1));
  erase_boxes<float>(Execution(), n, erasing, whole, x);
  BOOST_TEST(x.guards_hold());
  const auto values = x.values();
  std::map<std::array<std::int64_t, 4>, int> boxes;
  int untouched = 0;
  for (std::int64_t s = 0; s < n; ++s) {
    std::int64_t low_y = height, low_x = width, high_y = -1, high_x = -1, erased = 0;
    for (std::int64_t p = 0; p < height * width; ++p) {
      const float first = values[static_cast<std::size_t>((s * height * width + p) * channels)],
                  second = values[static_cast<std::size_t>((s * height * width + p) * channels + 1)];
      BOOST_REQUIRE(first == second);
      if (first != 0) continue;
      ++erased;
      low_y = std::min(low_y, p / width), high_y = std::max(high_y, p / width), low_x = std::min(low_x, p % width), high_x = std::max(high_x, p % width);
    }
    if (erased == 0) {
      ++untouched;
      continue;
    }
    BOOST_REQUIRE(erased == (high_y - low_y + 1) * (high_x - low_x + 1));
    ++boxes[{low_y, low_x, high_y - low_y + 1, high_x - low_x + 1}];
  }
  BOOST_TEST(std::abs(untouched - n * 0.25) < 5 * std::sqrt(n * 0.25 * 0.75));
  for (std::int64_t h = 1; h <= 2; ++h)
    for (std::int64_t w = 1; w <= 4; ++w)
      for (std::int64_t y = 0; y + h <= height; ++y)
        for (std::int64_t at = 0; at + w <= width; ++at) {
          const double mean = n * 0.75 / (2 * 4) / static_cast<double>((height - h + 1) * (width - w + 1));
          BOOST_TEST(std::abs((boxes[{y, at, h, w}]) - mean) < 6 * std::sqrt(mean) + 2);
        }
  RandomStream random(test_seed(), 8);
  for (int trial = 0; trial < 30; ++trial) {
    const Region region = random_region(random, channels);
    Erasing of{.probability = 0.9, .key = test_seed() + 1, .first_sample = 4};
    for (std::size_t a = 0; a < 3; ++a) of.longest[a] = std::max<std::int64_t>(1, region.extents[a] / 2);
    Region all = region;
    all.box = {.extent = region.extents}, all.first_channel = 0, all.local_channels = all.channels;
    const std::int64_t elements = all.elements();
    Guarded<double> full(std::vector<double>(static_cast<std::size_t>(3 * elements), 1)),
        part(std::vector<double>(static_cast<std::size_t>(3 * region.elements()), 1));
    erase_boxes<double>(Execution(), 3, of, all, full);
    erase_boxes<double>(Execution(), 3, of, region, part);
    BOOST_TEST(same_bits(part.values(), in_region(full.values(), 3, elements, region)));
  }
}

BOOST_AUTO_TEST_SUITE_END()
