// Synthetic digits: 28x28 grey images of 0 to 9, bright on dark, drawn as strokes with random affine maps, distortion, pen width, blur, contrast and
// noise. A replacement for MNIST without a download.
#pragma once

#include <cstdint>
#include <span>

#include "io/importers/sample_source.hpp"

namespace trireme {

inline constexpr int digit_extent = 28;
inline constexpr std::int64_t digit_pixels = digit_extent * digit_extent;

/// Class of sample `index`: every ten consecutive samples hold each class once, in random order.
int digit_class(std::uint64_t seed, std::uint64_t index);

/// Draws sample `index`; depends on (seed, index) only. Rows from top to bottom.
void draw_digit(std::uint64_t seed, std::uint64_t index, std::span<std::uint8_t, digit_pixels> out);

/// Train samples have the indices 0, 1, ...; test samples begin at 2^40, so that the test set depends on the seed only.
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
