// exp(x) for x <= 0 in all lanes of a register, to about one unit in the last place: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial in r, times 2^n
// (Cody and Waite 1980; the coefficients for float are those of Moshier's Cephes library, for double Taylor's).
#pragma once

#include <iterator>

#include "kokkos_kernels/detail/simd.hpp"

namespace trireme::detail {

template <class T>
struct ExpConstants;
template <>
struct ExpConstants<float> {
  static constexpr float rounder = 12582912.0f, front = 0.693359375f, back = -2.12194440e-4f, least = -87.0f;
  static constexpr int bias = 127, shift = 23;
  static constexpr float series[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
};
template <>
struct ExpConstants<double> {
  static constexpr double rounder = 6755399441055744.0, front = 6.93145751953125e-1, back = 1.42860682030941723212e-6, least = -708.0;
  static constexpr int bias = 1023, shift = 52;
  static constexpr double series[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                                      1.0 / 5040,       1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      1.0 / 2};
};

/// Below `least` the result is 0; NaN stays NaN.
template <class T>
inline Register<T> exp_of_negative(const Register<T>& given) {
  using C = ExpConstants<T>;
  const auto low = given < broadcast<T>(C::least);
  const Register<T> x = low ? broadcast<T>(C::least) : given;
  const Register<T> shifted = x * broadcast<T>(T(1.44269504088896340736)) + broadcast<T>(C::rounder);  // n in the last bits
  const Register<T> n = shifted - broadcast<T>(C::rounder), r = x - n * broadcast<T>(C::front) - n * broadcast<T>(C::back);
  Register<T> sum = broadcast<T>(C::series[0]);
  for (std::size_t k = 1; k < std::size(C::series); ++k) sum = sum * r + broadcast<T>(C::series[k]);
  sum = sum * r * r + r + broadcast<T>(T{1});
  Mask<T> bits, first;
  const Register<T> rounder = broadcast<T>(C::rounder);
  std::memcpy(&bits, &shifted, sizeof bits);
  std::memcpy(&first, &rounder, sizeof first);
  bits = (bits - first + C::bias) << C::shift;
  Register<T> power;
  std::memcpy(&power, &bits, sizeof power);
  const Register<T> found = low ? Register<T>{} : sum * power;
  return given != given ? given : found;
}

}  // namespace trireme::detail
