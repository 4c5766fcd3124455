// Synthetic digits: 28x28 grey glyphs from 0 to 9, bright on dark, drawn as strokes under random affine maps, wobble,
// pen width, blur, contrast and noise. A stand-in for MNIST that needs no download.
#pragma once

#include <cstdint>
#include <span>

#include "io/importers/sample_source.hpp"

namespace trireme {

inline constexpr int digit_extent = 28;
inline constexpr std::int64_t digit_pixels = digit_extent * digit_extent;

/// The class of sample `index`: each run of ten samples holds each class once, in random order.
int digit_class(std::uint64_t seed, std::uint64_t index);

/// Draws sample `index`; a function of (seed, index) alone. Rows from top to bottom.
void draw_digit(std::uint64_t seed, std::uint64_t index, std::span<std::uint8_t, digit_pixels> out);

/// Train samples have the indices 0, 1, ...; test samples begin at 2^40, so that the test set depends on the seed
/// alone.
class DigitSource : public SampleSource {
 public:
  DigitSource(std::uint64_t seed, std::int64_t train, std::int64_t test);
  const SampleLayout& layout() const override { return layout_; }
  std::int64_t count(Part part) const override { return counts_[part]; }
  void stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const override;

 private:
  std::uint64_t seed_;
  PerPart<std::int64_t> counts_;
  SampleLayout layout_;
};

}  // namespace trireme
