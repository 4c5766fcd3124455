// Sum of doubles with compensation of rounding errors, about twice the digits of a double (Dekker 1971; Knuth, The Art of Computer Programming,
// 4.2.2). Sums of up to millions of numbers are exact to the last digit of a double in any order, so metrics do not depend on the number of ranks.
#pragma once

#include <Kokkos_Core.hpp>
#include <cstdint>

namespace trireme {

struct LongSum {
  double high = 0, low = 0;

  KOKKOS_INLINE_FUNCTION void add(double x) { add({x, 0}); }
  KOKKOS_INLINE_FUNCTION void add(const LongSum& x) {
    const double sum = high + x.high;
    if (!Kokkos::isfinite(sum)) {  // keep an infinity
      high = sum, low = 0;
      return;
    }
    const double of_x = sum - high;
    const double rest = ((high - (sum - of_x)) + (x.high - of_x)) + (low + x.low);
    high = sum + rest;
    low = rest - (high - sum);
  }
  /// += x^2. x is split into halves of 26 and 27 bits, whose products are exact, so that fused multiply-adds cannot change the result.
  KOKKOS_INLINE_FUNCTION void add_square(double x) {
    if (!Kokkos::isfinite(x)) return add(x * x);
    const double front = front_of(x), back = x - front;
    add(front * front);
    add(2 * front * back);
    add(back * back);
  }
  KOKKOS_INLINE_FUNCTION void add_product(double x, double y) {
    if (!Kokkos::isfinite(x) || !Kokkos::isfinite(y)) return add(x * y);
    const double x1 = front_of(x), x2 = x - x1, y1 = front_of(y), y2 = y - y1;
    add(x1 * y1);
    add(x1 * y2);
    add(x2 * y1);
    add(x2 * y2);
  }
  KOKKOS_INLINE_FUNCTION double value() const { return high + low; }

 private:
  KOKKOS_INLINE_FUNCTION static double front_of(double x) {
    return Kokkos::bit_cast<double>(Kokkos::bit_cast<std::uint64_t>(x) & ~((std::uint64_t{1} << 27) - 1));
  }
};

}  // namespace trireme
