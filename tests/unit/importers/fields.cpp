// Random fields against the law they are drawn from, and against the best estimate that it allows.
#include "io/importers/fields.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <complex>
#include <map>
#include <numbers>

#include "io/importers/fourier.hpp"
#include "support.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

using Complex = std::complex<double>;

std::size_t cube(int extent) { return static_cast<std::size_t>(extent * extent * extent); }

std::vector<float> draw(int extent, std::int64_t channels, std::uint64_t seed, std::uint64_t sample) {
  std::vector<float> field(static_cast<std::size_t>(channels) * cube(extent));
  FieldMaker(extent).draw(seed, sample, field);
  return field;
}

/// |d(m)|^2 S^3, which is P(k) in the mean, for all modes of each channel.
std::vector<std::vector<double>> power(int extent, const std::vector<float>& fields) {
  const std::size_t points = cube(extent);
  std::vector<std::vector<double>> powers;
  for (auto first = fields.begin(); first != fields.end(); first += static_cast<std::ptrdiff_t>(points)) {
    std::vector<Complex> values(first, first + static_cast<std::ptrdiff_t>(points));
    fourier_transform(values, extent);
    auto& of_channel = powers.emplace_back();
    for (const Complex& value : values) of_channel.push_back(std::norm(value) / static_cast<double>(points));
  }
  return powers;
}

/// The spectrum of greatest likelihood: Fisher's scoring, whose matrix is diagonal.
FieldSpectrum most_likely(const FieldMaker& maker, const std::vector<std::vector<double>>& powers) {
  const auto& log_k = maker.log_wave_numbers();
  const FieldSpectrum error = maker.least_error(static_cast<std::int64_t>(powers.size()));
  FieldSpectrum theta{FieldSpectrum::mean[0], FieldSpectrum::mean[1]};
  for (int round = 0; round < 30; ++round) {
    double index = 0, amplitude = 0;
    for (const auto& of_channel : powers)
      for (std::size_t i = 1; i < of_channel.size(); ++i) {
        const double excess = of_channel[i] * std::exp(-theta.log_amplitude - theta.index * log_k[i]) - 1;
        index += 0.5 * excess * log_k[i];
        amplitude += 0.5 * excess;
      }
    theta.index += std::clamp(error.index * error.index * index, -0.5, 0.5);
    theta.log_amplitude += std::clamp(error.log_amplitude * error.log_amplitude * amplitude, -0.5, 0.5);
  }
  return theta;
}

/// Estimates of `samples` samples: errors in units of the bound have mean 0 and mean square 1.
void check_bound(int extent, std::int64_t channels, int samples) {
  const FieldMaker maker(extent);
  const FieldSpectrum error = maker.least_error(channels);
  double sums[2]{}, squares[2]{};
  for (int s = 0; s < samples; ++s) {
    const auto sample = static_cast<std::uint64_t>(s);
    const FieldSpectrum truth = field_spectrum(11, sample);
    const FieldSpectrum found = most_likely(maker, power(extent, draw(extent, channels, 11, sample)));
    const double errors[2]{(found.index - truth.index) / error.index, (found.log_amplitude - truth.log_amplitude) / error.log_amplitude};
    for (int i = 0; i < 2; ++i) sums[i] += errors[i], squares[i] += errors[i] * errors[i];
  }
  for (int i = 0; i < 2; ++i) {
    BOOST_TEST(std::abs(sums[i] / samples) < 4 / std::sqrt(samples), "bias of number " << i << " at " << extent);
    BOOST_TEST(std::abs(squares[i] / samples - 1) < 4 * std::sqrt(2.0 / samples), "error of number " << i << " at " << extent);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fields)

BOOST_AUTO_TEST_CASE(the_transform_is_the_sum_that_defines_it) {
  RandomStream random(1);
  for (const int extent : {2, 4, 8}) {
    std::vector<Complex> values(cube(extent));
    for (Complex& value : values) value = {random.normal(), random.normal()};
    auto found = values;
    fourier_transform(found, extent);
    const auto n = static_cast<std::size_t>(extent);
    for (std::size_t x = 0; x < values.size(); ++x) {
      Complex expected = 0;
      for (std::size_t m = 0; m < values.size(); ++m) {
        const std::size_t turns = (m % n) * (x % n) + (m / n % n) * (x / n % n) + (m / n / n) * (x / n / n);
        expected += values[m] * std::polar(1.0, 2 * std::numbers::pi * static_cast<double>(turns % n) / extent);
      }
      BOOST_TEST(std::abs(found[x] - expected) < 1e-10);
    }
  }
}

BOOST_AUTO_TEST_CASE(targets_are_uniform_and_those_of_the_spectrum) {
  const Collected all = collect(FieldSource(2, 4000, 0, 4, 1));
  const auto targets = values_of<float>(all.labels[Part::train]);
  double sums[2]{}, squares[2]{};
  for (std::size_t i = 0; i < 4000; ++i) {
    const FieldSpectrum spectrum = field_spectrum(2, i);
    BOOST_TEST(std::abs(targets[2 * i] * 1.5 - 1.5 - spectrum.index) < 1e-6);
    BOOST_TEST(std::abs(targets[2 * i + 1] - spectrum.log_amplitude) < 1e-6);
    for (std::size_t j = 0; j < 2; ++j) {
      const double target = targets[2 * i + j];
      BOOST_TEST(std::abs(target) <= 1);
      sums[j] += target, squares[j] += target * target;
    }
  }
  for (int j = 0; j < 2; ++j) {
    BOOST_TEST(std::abs(sums[j] / 4000) < 4 * std::sqrt(1 / 3.0 / 4000));
    BOOST_TEST(std::abs(squares[j] / 4000 - 1 / 3.0) < 4 * std::sqrt(4 / 45.0 / 4000));
  }
}

// In shells of k the mean of |d|^2 / P over samples is 1, within its own error: slope and amplitude are the law's.
BOOST_AUTO_TEST_CASE(the_measured_spectrum_is_the_law) {
  constexpr int extent = 16;
  const FieldMaker maker(extent);
  const auto& log_k = maker.log_wave_numbers();
  std::map<int, std::pair<double, double>> shells;  // number of the shell: modes, sum of |d|^2 / P
  for (std::uint64_t sample = 0; sample < 60; ++sample) {
    const FieldSpectrum spectrum = field_spectrum(3, sample);
    for (const auto& of_channel : power(extent, draw(extent, 3, 3, sample)))
      for (std::size_t i = 1; i < log_k.size(); ++i) {
        auto& [modes, sum] = shells[static_cast<int>(std::floor(4 * log_k[i]))];
        modes += 1;
        sum += of_channel[i] * std::exp(-spectrum.log_amplitude - spectrum.index * log_k[i]);
      }
  }
  BOOST_TEST(shells.size() >= 7u);
  for (const auto& [shell, found] : shells) BOOST_TEST(std::abs(found.second / found.first - 1) < 4 * std::sqrt(2 / found.first), "shell " << shell);
}

BOOST_AUTO_TEST_CASE(fields_are_of_mean_zero_and_channels_independent) {
  constexpr int extent = 16;
  constexpr std::size_t points = 16 * 16 * 16;
  for (std::uint64_t sample = 0; sample < 8; ++sample) {
    const auto fields = draw(extent, 5, 4, sample);
    std::vector<std::vector<Complex>> modes;
    for (std::size_t c = 0; c < 5; ++c) {
      double sum = 0;
      for (std::size_t i = 0; i < points; ++i) sum += fields[c * points + i];
      BOOST_TEST(std::abs(sum / points) < 1e-5);
      modes.emplace_back(fields.begin() + static_cast<std::ptrdiff_t>(c * points), fields.begin() + static_cast<std::ptrdiff_t>((c + 1) * points));
      fourier_transform(modes.back(), extent);
    }
    // Correlation of the modes' phases, which a common spectrum does not bring about.
    for (std::size_t a = 0; a < 5; ++a)
      for (std::size_t b = 0; b < a; ++b) {
        double correlation = 0;
        for (std::size_t i = 1; i < points; ++i) correlation += (modes[a][i] * std::conj(modes[b][i])).real() / std::abs(modes[a][i]) / std::abs(modes[b][i]);
        BOOST_TEST(std::abs(correlation / points) < 4.5 / std::sqrt(points), a << " and " << b);
      }
  }
}

BOOST_AUTO_TEST_CASE(the_bound_has_the_numbers_of_the_head) {
  const FieldSpectrum at_32 = FieldMaker(32).least_error(4), at_64 = FieldMaker(64).least_error(4);
  BOOST_TEST(std::abs(at_32.index - 0.010958) < 1e-6);
  BOOST_TEST(std::abs(at_32.log_amplitude - 0.0039063) < 1e-6);
  BOOST_TEST(std::abs(at_64.index - 0.0038732) < 1e-6);
  BOOST_TEST(std::abs(at_64.log_amplitude - 0.0013811) < 1e-6);
}

BOOST_AUTO_TEST_CASE(the_likeliest_spectrum_errs_as_the_bound_says) {
  check_bound(8, 2, 300);
  check_bound(16, 2, 80);
  check_bound(32, 4, 12);
}

BOOST_AUTO_TEST_CASE(a_field_is_a_function_of_seed_and_sample) {
  const auto field = draw(8, 2, 7, 3);
  BOOST_TEST((field == draw(8, 2, 7, 3)));
  BOOST_TEST((field != draw(8, 2, 8, 3)));
  BOOST_TEST((field != draw(8, 2, 7, 4)));
  // Further channels change nothing in those before.
  const auto more = draw(8, 5, 7, 3);
  BOOST_TEST(std::equal(field.begin(), field.end(), more.begin()));
  RandomStream random(6);
  BOOST_TEST(pieces_agree(FieldSource(6, 40, 20, 4, 3), random));
  const Collected all = collect(FieldSource(6, 40, 20, 4, 3)), other = collect(FieldSource(6, 50, 20, 4, 3));
  BOOST_TEST((all.features[Part::test] == other.features[Part::test]));
  BOOST_TEST((all.features[Part::train] != all.features[Part::test]));
}

BOOST_AUTO_TEST_SUITE_END()
