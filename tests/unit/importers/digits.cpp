#include "io/importers/digits.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <set>

#include "support.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

using Image = std::array<std::uint8_t, digit_pixels>;

Image draw(std::uint64_t seed, std::uint64_t index) {
  Image image;
  draw_digit(seed, index, image);
  return image;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(digits)

BOOST_AUTO_TEST_CASE(every_ten_samples_hold_each_class_once) {
  RandomStream random(1);
  for (int trial = 0; trial < 200; ++trial) {
    const std::uint64_t seed = random.bits64(), first = random.below(1'000'000) * 10;
    std::set<int> classes;
    for (std::uint64_t i = 0; i < 10; ++i) classes.insert(digit_class(seed, first + i));
    BOOST_TEST(classes.size() == 10u);
    BOOST_TEST(*classes.begin() == 0);
    BOOST_TEST(*classes.rbegin() == 9);
  }
}

BOOST_AUTO_TEST_CASE(an_image_is_a_function_of_seed_and_index) {
  RandomStream random(2);
  for (int trial = 0; trial < 50; ++trial) {
    const std::uint64_t seed = random.bits64(), index = random.below(1'000'000);
    const Image image = draw(seed, index);
    BOOST_TEST((image == draw(seed, index)));
    BOOST_TEST((image != draw(seed + 1, index)));
    BOOST_TEST((image != draw(seed, index + 10)));
  }
}

BOOST_AUTO_TEST_CASE(glyphs_are_bright_strokes_inside_a_dark_frame) {
  double ink = 0, frame = 0;
  constexpr int n = 1000;
  for (std::uint64_t i = 0; i < n; ++i) {
    const Image image = draw(3, i);
    BOOST_TEST(*std::ranges::max_element(image) > 100);
    BOOST_TEST(std::ranges::count_if(image, [](int v) { return v > 80; }) > 10);
    for (std::size_t p = 0; p < image.size(); ++p) {
      const std::size_t row = p / digit_extent, column = p % digit_extent;
      const bool outer = row == 0 || column == 0 || row == digit_extent - 1 || column == digit_extent - 1;
      (outer ? frame : ink) += image[p];
    }
  }
  const double frame_mean = frame / (n * 4.0 * (digit_extent - 1)), ink_mean = ink / (n * 26.0 * 26.0);
  BOOST_TEST(frame_mean < 15);
  BOOST_TEST(ink_mean > 20);
  BOOST_TEST(ink_mean < 60);
}

// The class means of one set must tell much about another set, but not all: else the task is impossible, or trivial.
BOOST_AUTO_TEST_CASE(classes_can_be_told_apart_but_not_trivially) {
  const DigitSource source(4, 4000, 1000);
  const Collected all = collect(source);
  std::array<std::array<double, digit_pixels>, 10> means{};
  const auto labels = values_of<std::int64_t>(all.labels[Part::train]);
  const auto pixels = values_of<std::uint8_t>(all.features[Part::train]);
  for (std::size_t i = 0; i < labels.size(); ++i)
    for (std::size_t p = 0; p < digit_pixels; ++p) means[static_cast<std::size_t>(labels[i])][p] += pixels[i * digit_pixels + p] / 400.0;
  const auto test_labels = values_of<std::int64_t>(all.labels[Part::test]);
  const auto test_pixels = values_of<std::uint8_t>(all.features[Part::test]);
  int right = 0;
  for (std::size_t i = 0; i < test_labels.size(); ++i) {
    std::array<double, 10> distance{};
    for (std::size_t c = 0; c < 10; ++c)
      for (std::size_t p = 0; p < digit_pixels; ++p) {
        const double d = means[c][p] - test_pixels[i * digit_pixels + p];
        distance[c] += d * d;
      }
    right += std::ranges::min_element(distance) - distance.begin() == test_labels[i];
  }
  BOOST_TEST(right > 400);
  BOOST_TEST(right < 900);
}

BOOST_AUTO_TEST_CASE(the_source_gives_the_same_samples_in_any_pieces) {
  RandomStream random(5);
  const DigitSource source(5, 700, 300);
  BOOST_TEST(source.layout().sample.tuple() == "(1, 28, 28)");
  BOOST_TEST(pieces_agree(source, random));
  // The test part does not depend on how many train samples there are; a longer train part goes on where a shorter one
  // ends.
  const Collected all = collect(source), other = collect(DigitSource(5, 900, 300));
  BOOST_TEST((all.features[Part::test] == other.features[Part::test]));
  BOOST_TEST(std::ranges::equal(all.features[Part::train], std::span(other.features[Part::train]).first(700 * digit_pixels)));
}

BOOST_AUTO_TEST_CASE(train_and_test_share_no_sample) {
  const Collected all = collect(DigitSource(6, 500, 500));
  std::set<Bytes> seen;
  for (const Part part : all_parts)
    for (auto at = all.features[part].begin(); at != all.features[part].end(); at += digit_pixels) seen.insert(Bytes(at, at + digit_pixels));
  BOOST_TEST(seen.size() == 1000u);
}

BOOST_AUTO_TEST_SUITE_END()
