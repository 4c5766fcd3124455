// How accurately can the targets be estimated? The modes are independent Gaussian numbers, so the Fisher matrix of theta = (n, ln A) is F_ij = C/2
// sum over m != 0 of (d ln P / d theta_i)(d ln P / d theta_j) (Tegmark, Taylor and Heavens 1997, eq. 15), with N = S^3 - 1 real numbers per channel,
// d ln P / d ln A = 1 and d ln P / d n = ln(k / k_0). As k_0 is the geometric mean of k over the modes, the matrix is diagonal. By the Cramer-Rao
// bound no unbiased estimate has a smaller standard deviation than
//
//   sigma(ln A) = sqrt(2 / (C N)),   sigma(n) = sqrt(2 / (C N v)),   v = the variance of ln k over the modes.
//
// 4 channels of 32^3: k_0 = 14.58, v = 0.1271, sigma(n) = 0.0110, sigma(ln A) = 0.0039; for the scaled targets 0.0073 and 0.0039, a mean squared
// error of 3.4e-5, compared with 1/3 for the mean as a constant guess. 64^3: 0.0039 and 0.0014. The maximum-likelihood estimate reaches the bound.
#include "io/importers/fields.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>

#include "base/error.hpp"
#include "base/random.hpp"
#include "io/importers/fourier.hpp"
#include "io/importers/importer.hpp"

namespace trireme {

namespace {

constexpr std::uint64_t spectrum_purpose = 0x737065637472;  // "spectr"
constexpr std::uint64_t mode_purpose = 0x6d6f646573;        // "modes"
constexpr std::uint64_t first_test_sample = std::uint64_t{1} << 40;

std::size_t cube(int extent) { return static_cast<std::size_t>(extent) * static_cast<std::size_t>(extent * extent); }

}  // namespace

FieldSpectrum field_spectrum(std::uint64_t seed, std::uint64_t sample) {
  RandomStream random(mix(seed, spectrum_purpose), sample);
  const auto& [index, log_amplitude] = FieldSpectrum::mean;
  const double n = index + FieldSpectrum::deviation[0] * random.uniform(-1, 1);
  return {n, log_amplitude + FieldSpectrum::deviation[1] * random.uniform(-1, 1)};
}

FieldMaker::FieldMaker(int extent) : extent_(extent), log_k_(cube(extent)) {
  double sum = 0;
  for (std::size_t i = 1; i < log_k_.size(); ++i) {
    double squares = 0;
    for (auto [rest, axis] = std::pair{static_cast<int>(i), 0}; axis < 3; rest /= extent, ++axis) {
      const double m = std::min(rest % extent, extent - rest % extent);
      squares += m * m;
    }
    log_k_[i] = 0.5 * std::log(squares);
    sum += log_k_[i];
  }
  const double mean = sum / static_cast<double>(log_k_.size() - 1);
  for (double& log_k : log_k_) log_k -= mean;
}

void FieldMaker::draw(std::uint64_t seed, std::uint64_t sample, std::span<float> out) const {
  const FieldSpectrum spectrum = field_spectrum(seed, sample);
  const std::size_t points = log_k_.size();
  std::vector<double> deviation(points, 0.0);  // of the modes' real and imaginary parts
  for (std::size_t i = 1; i < points; ++i)
    deviation[i] = std::exp(0.5 * (spectrum.log_amplitude + spectrum.index * log_k_[i])) / std::sqrt(static_cast<double>(points));
  // Modes without the symmetry of a real field: the real and the imaginary part of their transform are two independent fields.
  std::vector<std::complex<double>> modes(points);
  for (std::size_t channel = 0; channel * points < out.size(); channel += 2) {
    RandomStream random(mix(mix(seed, mode_purpose), channel), sample);
    for (std::size_t i = 0; i < points; ++i) {
      const double real = random.normal(), imaginary = random.normal();
      modes[i] = {deviation[i] * real, deviation[i] * imaginary};
    }
    fourier_transform(modes, extent_);
    const auto first = out.subspan(channel * points);
    for (std::size_t i = 0; i < points; ++i) first[i] = static_cast<float>(modes[i].real());
    if (first.size() > points)
      for (std::size_t i = 0; i < points; ++i) first[points + i] = static_cast<float>(modes[i].imag());
  }
}

FieldSpectrum FieldMaker::least_error(std::int64_t channels) const {
  double squares = 0;
  for (std::size_t i = 1; i < log_k_.size(); ++i) squares += log_k_[i] * log_k_[i];
  const auto c = static_cast<double>(channels);
  return {std::sqrt(2 / (c * squares)), std::sqrt(2 / (c * static_cast<double>(log_k_.size() - 1)))};
}

FieldSource::FieldSource(std::uint64_t seed, std::int64_t train, std::int64_t test, std::int64_t extent, std::int64_t channels)
    : seed_(seed), counts_(train, test) {
  layout_.sample = Shape{channels, extent, extent, extent};
  layout_.feature_type = ElementType::f32;
  layout_.label = Shape{2};
  layout_.label_type = ElementType::f32;
}

std::vector<SourceAttribute> FieldSource::attributes() const {
  const auto list = [](const std::array<double, 2>& values) { return std::vector<double>(values.begin(), values.end()); };
  return {{true, "mean", list(FieldSpectrum::mean)}, {true, "deviation", list(FieldSpectrum::deviation)}};
}

void FieldSource::stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const {
  const FieldMaker maker(static_cast<int>(layout_.sample[1]));
  std::vector<float> field(static_cast<std::size_t>(layout_.sample.size()));
  for (const Part part : all_parts) {
    const std::uint64_t base = part == Part::train ? 0 : first_test_sample;
    for (std::int64_t i = wanted[part].first; i < wanted[part].end; ++i) {
      const std::uint64_t sample = base + static_cast<std::uint64_t>(i);
      const auto [index, log_amplitude] = field_spectrum(seed_, sample);
      const std::array<float, 2> target{static_cast<float>((index - FieldSpectrum::mean[0]) / FieldSpectrum::deviation[0]),
                                        static_cast<float>((log_amplitude - FieldSpectrum::mean[1]) / FieldSpectrum::deviation[1])};
      maker.draw(seed_, sample, field);
      sink(part, 1, std::as_bytes(std::span(field)), std::as_bytes(std::span(target)));
    }
  }
}

TRIREME_IMPORTER(fields) {
  using enum ImporterOption::Type;
  return {.source = "",
          .help = "synthetic 3D Gaussian random fields; the targets are the spectral index and the amplitude",
          .options = {train_option("1024"),
                      test_option("256"),
                      {"size", integer, "32", "grid points per dimension; a power of two from 4 to 512", 4, 512},
                      {"channels", integer, "4", "independent fields per sample, 1 to 64", 1, 64},
                      seed_option("random seed; the same seed makes the same samples")},
          .open = [](const std::filesystem::path&, const ImporterOptions& options) {
            const std::int64_t size = options.integer("size");
            if (!std::has_single_bit(static_cast<std::uint64_t>(size)))
              throw usage_error(
                  "--size {} is not valid. Expected a power of two from 4 to "
                  "512",
                  size);
            return std::make_unique<FieldSource>(static_cast<std::uint64_t>(options.integer("seed")), options.integer("train"), options.integer("test"), size,
                                                 options.integer("channels"));
          }};
}

}  // namespace trireme
