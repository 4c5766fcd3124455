// Synthetic cosmology: Gaussian random fields in a periodic cube with a power-law spectrum; the targets are the two parameters of the power law. A
// replacement for CosmoFlow (Mathuriya et al. 2018) without a download, and with a known optimal accuracy.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "io/importers/sample_source.hpp"

namespace trireme {

/// P(k) = exp(log_amplitude) (k / k_0)^index; k_0 is defined in FieldMaker.
struct FieldSpectrum {
  double index;          // uniform in [-3, 0]
  double log_amplitude;  // uniform in [-1, 1]

  /// Targets: (index - mean) / deviation and likewise log_amplitude, each in [-1, 1].
  static constexpr std::array<double, 2> mean{-1.5, 0}, deviation{1.5, 1};
};

/// Spectrum of sample `sample`; depends on (seed, sample) only.
FieldSpectrum field_spectrum(std::uint64_t seed, std::uint64_t sample);

/// Creates fields delta(x) = sum over m != 0 of d(m) exp(2 pi i m.x / S) on S^3 points, with E |d(m)|^2 = P(|m|) / S^3. Fields are real, with mean 0,
/// and with variance exp(log_amplitude) if the index is 0. Wave numbers count waves in the box: k = |m|, each component from -S/2 to S/2. k_0 is the
/// geometric mean of k over the modes.
class FieldMaker {
 public:
  /// `extent`: S, a power of two of at least 2.
  explicit FieldMaker(int extent);

  /// Fills (channels, S, S, S) values; channels are independent. Depends on (seed, sample) only.
  void draw(std::uint64_t seed, std::uint64_t sample, std::span<float> out) const;

  /// ln(k / k_0) of the modes in the order of the transform; the value of mode 0 is meaningless.
  const std::vector<double>& log_wave_numbers() const { return log_k_; }
  /// Lower bound of the standard deviation of any unbiased estimate from `channels` fields, see fields.cpp.
  FieldSpectrum least_error(std::int64_t channels) const;

 private:
  int extent_;
  std::vector<double> log_k_;
};

/// Train samples have the numbers 0, 1, ...; test samples begin at 2^40, so that the test set depends on the seed only.
class FieldSource : public SampleSource {
 public:
  FieldSource(std::uint64_t seed, std::int64_t train, std::int64_t test, std::int64_t extent, std::int64_t channels);
  const SampleLayout& layout() const override { return layout_; }
  std::int64_t count(Part part) const override { return counts_[part]; }
  /// Mean and standard deviation of the targets: (index, log_amplitude) = target * deviation + mean.
  std::vector<SourceAttribute> attributes() const override;
  void stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const override;

 private:
  std::uint64_t seed_;
  PerPart<std::int64_t> counts_;
  SampleLayout layout_;
};

}  // namespace trireme
