// From a file's bytes to the network's input, for every raw type and layout.
#include "kokkos_kernels/batch.hpp"

#include <boost/test/unit_test.hpp>
#include <map>

#include "regions.hpp"
#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class Raw, class T>
void check(RandomStream& random) {
  for (int i = 0; i < 12; ++i) {
    const std::int64_t n = draw(random, i == 0 ? 0 : 1, 6), channels = i % 4 == 1 ? 1 : draw(random, 1, 9), pixels = i % 4 == 2 ? 1 : draw(random, 1, 40);
    std::vector<Raw> raw(static_cast<std::size_t>(n * channels * pixels));
    for (Raw& value : raw) {
      if constexpr (std::is_floating_point_v<Raw>)
        value = static_cast<Raw>(random.uniform(-300, 300));
      else
        value = static_cast<Raw>(random.bits64());  // the whole range
    }
    const auto factor = random_numbers<T>(random, channels), shift = random_numbers<T>(random, channels);
    std::vector<double> expected(raw.size());
    for (std::size_t k = 0; k < raw.size(); ++k) {
      const std::size_t c = k / static_cast<std::size_t>(pixels) % factor.size();
      expected[k] = static_cast<double>(static_cast<T>(raw[k])) * static_cast<double>(factor[c]) + static_cast<double>(shift[c]);
    }
    if (n > 0) expected = to_channels_last(expected, Shape{channels, pixels});
    const Guarded<Raw> dev_raw(raw);
    const Guarded<T> dev_factor(factor), dev_shift(shift);
    Guarded<T> out(static_cast<std::int64_t>(raw.size()));
    RawSamples samples{.each = nullptr,
                       .first = reinterpret_cast<const std::byte*>(dev_raw.span().data()),
                       .bytes = channels * pixels * static_cast<std::int64_t>(sizeof(Raw))};
    const auto cast = [&] {
      cast_batch<Raw, T>(Execution(), n, channels, pixels, samples, dev_factor, dev_shift, out);
      BOOST_TEST(distance(out.values(), expected, 1) <= rounding<T>,
                 "seed " << test_seed() << " raw of " << sizeof(Raw) << " bytes, n " << n << " channels " << channels << " pixels " << pixels);
      BOOST_TEST(out.guards_hold());
    };
    cast();
    // The same samples, each named by a pointer.
    std::vector<std::uintptr_t> each;
    for (std::int64_t s = 0; s < n; ++s) each.push_back(reinterpret_cast<std::uintptr_t>(samples.at(s)));
    const Guarded<std::uintptr_t> dev_each(each);
    samples = RawSamples{.each = reinterpret_cast<const std::byte* const*>(dev_each.span().data()), .first = nullptr, .bytes = 0};
    out.spoil();
    cast();
  }
}

template <class T, class... Raw>
void check_all(RandomStream& random) {
  (check<Raw, T>(random), ...);
}

struct Augmented {
  std::vector<float> values;  // (n, pixels, channels)
  std::int64_t elements;
};

/// Samples whose element (c, pixel) is 1 + c pixels + pixel, so that each tells where it came from.
Augmented augmented(const Augmentation& augmentation, std::int64_t n, std::int64_t channels) {
  const std::int64_t elements = channels * augmentation.extents[0] * augmentation.extents[1] * augmentation.extents[2];
  std::vector<float> raw(static_cast<std::size_t>(n * elements));
  for (std::size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<float>(1 + static_cast<std::int64_t>(i) % elements);
  const Guarded<float> dev_raw(raw), factor(std::vector<float>(static_cast<std::size_t>(channels), 1)),
      shift(std::vector<float>(static_cast<std::size_t>(channels), 0));
  Guarded<float> out(n * elements);
  const RawSamples samples{
      .each = nullptr, .first = reinterpret_cast<const std::byte*>(dev_raw.span().data()), .bytes = elements * static_cast<std::int64_t>(sizeof(float))};
  augment_batch<float, float>(Execution(), n, channels, samples, factor, shift, augmentation, augmentation.whole(), false, out);
  BOOST_TEST(out.guards_hold());
  return {out.values(), elements};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(batches)

BOOST_AUTO_TEST_CASE(are_cast_scaled_and_laid_channels_last) {
  RandomStream random(test_seed());
  check_all<float, std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t, std::uint64_t, std::int64_t, float, double>(random);
  check_all<double, std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t, std::uint64_t, std::int64_t, float, double>(random);
}

// Each sample is one of those that flips and crops allow, and all of these come about equally often.
BOOST_AUTO_TEST_CASE(are_flipped_and_cropped_evenly) {
  constexpr std::int64_t n = 20000, channels = 2, height = 3, width = 5, crop = 1;
  const Augmentation augmentation{.extents = {1, height, width}, .flip = {false, false, true}, .crop = {0, crop, crop}, .key = test_seed()};
  const auto [values, elements] = augmented(augmentation, n, channels);
  std::map<std::vector<float>, int> found;
  for (std::int64_t s = 0; s < n; ++s) ++found[{values.begin() + s * elements, values.begin() + (s + 1) * elements}];
  for (const bool turned : {false, true})
    for (std::int64_t dy = -crop; dy <= crop; ++dy)
      for (std::int64_t dx = -crop; dx <= crop; ++dx) {
        std::vector<float> expected;
        for (std::int64_t y = 0; y < height; ++y)
          for (std::int64_t x = 0; x < width; ++x)
            for (std::int64_t c = 0; c < channels; ++c) {
              const std::int64_t from_y = y + dy, from_x = (turned ? width - 1 - x : x) + dx;
              const bool inside = from_y >= 0 && from_y < height && from_x >= 0 && from_x < width;
              expected.push_back(inside ? static_cast<float>(1 + (c * height + from_y) * width + from_x) : 0.0f);
            }
        const double mean = n / 18.0;
        BOOST_TEST(std::abs(found[expected] - mean) < 5 * std::sqrt(mean), "turned " << turned << " by " << dy << ", " << dx);
      }
  BOOST_TEST(found.size() == 18u);
}

BOOST_AUTO_TEST_CASE(are_flipped_along_each_axis_by_itself) {
  constexpr std::int64_t n = 8000;
  const Augmentation augmentation{.extents = {2, 3, 4}, .flip = {true, true, true}, .key = test_seed()};
  const auto [values, elements] = augmented(augmentation, n, 1);
  std::map<float, int> corners;  // the first element tells which axes were turned
  for (std::int64_t s = 0; s < n; ++s) ++corners[values[static_cast<std::size_t>(s * elements)]];
  BOOST_TEST(corners.size() == 8u);
  for (const auto& [corner, count] : corners) BOOST_TEST(std::abs(count - n / 8.0) < 5 * std::sqrt(n / 8.0));
}

BOOST_AUTO_TEST_CASE(get_normal_noise) {
  constexpr std::int64_t n = 4000, elements = 21;
  const std::vector<double> before_noise(n * elements, 3.0);
  Guarded<double> x(before_noise);
  add_noise<double>(Execution(), n, elements, 0.25, test_seed(), 0, x);
  BOOST_TEST(x.guards_hold());
  const std::vector<double> values = x.values();
  double sum = 0, squares = 0, fourth = 0, neighbours = 0, before = 0;
  for (const double value : values) {
    const double z = (value - 3) / 0.25;
    sum += z, squares += z * z, fourth += z * z * z * z, neighbours += z * before;
    before = z;
  }
  const double count = static_cast<double>(values.size());
  BOOST_TEST(std::abs(sum / count) < 5 / std::sqrt(count));
  BOOST_TEST(std::abs(squares / count - 1) < 5 * std::sqrt(2 / count));
  BOOST_TEST(std::abs(fourth / count - 3) < 5 * std::sqrt(96 / count));
  BOOST_TEST(std::abs(neighbours / count) < 5 / std::sqrt(count));
}

BOOST_AUTO_TEST_CASE(are_augmented_the_same_however_they_are_divided) {
  const Augmentation whole{.extents = {1, 4, 5}, .flip = {false, true, true}, .crop = {0, 2, 2}, .key = test_seed(), .first_sample = 3};
  const auto [values, elements] = augmented(whole, 11, 3);
  std::vector<float> parts;
  for (std::int64_t done = 0; done < 11;) {
    Augmentation part = whole;
    part.first_sample += done;
    const std::int64_t count = std::min<std::int64_t>(4, 11 - done);
    const auto some = augmented(part, count, 3).values;
    parts.insert(parts.end(), some.begin(), some.end());
    done += count;
  }
  BOOST_TEST(same_bits(values, parts));
  Augmentation other = whole;
  other.key += 1;
  BOOST_TEST(!same_bits(values, augmented(other, 11, 3).values));
}

BOOST_AUTO_TEST_CASE(get_the_same_noise_however_they_are_divided) {
  const auto noise = [](std::int64_t n, std::uint64_t key, std::int64_t first) {
    Guarded<float> x(std::vector<float>(static_cast<std::size_t>(n * 13), 0));
    add_noise<float>(Execution(), n, 13, 1, key, first, x);
    return x.values();
  };
  const auto whole = noise(7, test_seed(), 2), first = noise(3, test_seed(), 2), last = noise(4, test_seed(), 5);
  std::vector<float> parts = first;
  parts.insert(parts.end(), last.begin(), last.end());
  BOOST_TEST(same_bits(whole, parts));
  BOOST_TEST(!same_bits(whole, noise(7, test_seed() + 1, 2)));
  BOOST_TEST(!same_bits(whole, noise(7, test_seed(), 3)));
}

BOOST_AUTO_TEST_CASE(without_augmentation_are_only_cast) {
  const auto [values, elements] = augmented({.extents = {2, 2, 3}}, 2, 3);
  std::vector<double> raw(static_cast<std::size_t>(2 * elements));
  for (std::size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<double>(1 + static_cast<std::int64_t>(i) % elements);
  BOOST_TEST(distance(values, to_channels_last(raw, Shape{3, 2, 2, 3})) == 0.0);
}

// Boxes of pixels, ranges of channels: what each gets is what the whole gets there.
BOOST_AUTO_TEST_CASE(get_the_noise_of_their_region) {
  RandomStream random(test_seed(), 7);
  for (int trial = 0; trial < 60; ++trial) {
    const std::int64_t n = draw(random, 0, 4), channels = draw(random, 1, 9);
    const Region region = random_region(random, channels);
    const std::int64_t elements = channels * region.extents[0] * region.extents[1] * region.extents[2];
    Guarded<double> whole(std::vector<double>(static_cast<std::size_t>(n * elements), 1)),
        part(std::vector<double>(static_cast<std::size_t>(n * region.elements()), 1));
    add_noise<double>(Execution(), n, elements, 0.5, test_seed(), 3, whole);
    add_noise<double>(Execution(), n, region.elements(), 0.5, test_seed(), 3, part, region);
    BOOST_TEST(part.guards_hold());
    BOOST_TEST(same_bits(part.values(), in_region(whole.values(), n, elements, region)));
  }
}

BOOST_AUTO_TEST_SUITE_END()
