// Checked products and sums of user input: a number that does not fit in 64 bits is an error that names the quantity; there is no overflow.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <utility>

#include "base/error.hpp"

namespace trireme {

/// Maximum number of elements of one array (the activation of a sample, a parameter). Batch size times bytes per element then still fits in 64 bits.
inline constexpr std::int64_t most_elements = std::int64_t{1} << 40;

/// Whether the product of `factors` (none negative) fits in 64 bits; if so, `product` holds it.
inline bool fits(std::initializer_list<std::int64_t> factors, std::int64_t& product) {
  product = 1;
  bool all = true, zero = false;
  for (const std::int64_t factor : factors) {
    zero = zero || factor == 0;
    all = all && !__builtin_mul_overflow(product, factor, &product);
  }
  if (zero) product = 0;
  return all || zero;
}

/// a * b, or a usage error. `what` names the product: "bytes of the activations of conv1".
template <class... Args>
std::int64_t checked_mul(std::int64_t a, std::int64_t b, fmt::format_string<Args...> what, Args&&... args) {
  std::int64_t product = 0;
  if (!fits({a, b}, product)) throw usage_error("{}: {} x {} does not fit in 64 bits", fmt::format(what, std::forward<Args>(args)...), a, b);
  return product;
}

/// a + b, or a usage error. `what` names the sum.
template <class... Args>
std::int64_t checked_add(std::int64_t a, std::int64_t b, fmt::format_string<Args...> what, Args&&... args) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) throw usage_error("{}: {} + {} does not fit in 64 bits", fmt::format(what, std::forward<Args>(args)...), a, b);
  return sum;
}

}  // namespace trireme
