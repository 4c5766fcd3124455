// Cooley and Tukey 1965 with radix 2: bit reversal, then log2(n) passes of butterflies.
#include "io/importers/fourier.hpp"

#include <bit>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <utility>
#include <vector>

namespace trireme {

namespace {

using Complex = std::complex<double>;

class Transform {
 public:
  explicit Transform(std::size_t n) : n_(n), roots_(n / 2), reversed_(n) {
    for (std::size_t j = 0; j < roots_.size(); ++j) roots_[j] = std::polar(1.0, 2 * std::numbers::pi * static_cast<double>(j) / static_cast<double>(n));
    const int bits = std::countr_zero(n);
    for (std::size_t i = 1; i < n; ++i) reversed_[i] = reversed_[i / 2] / 2 | (i % 2) << (bits - 1);
  }

  void operator()(Complex* line) const {
    for (std::size_t i = 0; i < n_; ++i)
      if (i < reversed_[i]) std::swap(line[i], line[reversed_[i]]);
    for (std::size_t half = 1; half < n_; half *= 2)
      for (std::size_t first = 0; first < n_; first += 2 * half)
        for (std::size_t j = 0; j < half; ++j) {
          Complex& a = line[first + j];
          Complex& b = line[first + j + half];
          const Complex w = roots_[j * (n_ / (2 * half))];
          // Written out, because the operator checks for infinities.
          const Complex t(b.real() * w.real() - b.imag() * w.imag(), b.real() * w.imag() + b.imag() * w.real());
          b = a - t;
          a += t;
        }
  }

 private:
  std::size_t n_;
  std::vector<Complex> roots_;
  std::vector<std::size_t> reversed_;
};

}  // namespace

void fourier_transform(std::span<std::complex<double>> values, int extent) {
  const auto n = static_cast<std::size_t>(extent);
  const Transform transform(n);
  std::vector<Complex> line(n);
  for (const std::size_t stride : {std::size_t{1}, n, n * n})
    for (std::size_t i = 0; i < n * n; ++i) {
      Complex* const first = values.data() + i / stride * stride * n + i % stride;
      for (std::size_t j = 0; j < n; ++j) line[j] = first[j * stride];
      transform(line.data());
      for (std::size_t j = 0; j < n; ++j) first[j * stride] = line[j];
    }
}

}  // namespace trireme
