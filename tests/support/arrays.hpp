// Numbers for tests of kernels: drawn on the host, laid into guarded device memory, read back and compared on the host.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "base/random.hpp"
#include "base/shape.hpp"
#include "kokkos_kernels/types.hpp"

namespace trireme::test {

/// Seed of the drawn cases: TRIREME_TEST_SEED of the environment, or a fixed one. Tests put it into their messages.
inline std::uint64_t test_seed() {
  const char* given = std::getenv("TRIREME_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 2024;
}

template <class T>
T guard_value() {
  if constexpr (std::is_floating_point_v<T>)
    return std::numeric_limits<T>::quiet_NaN();
  else
    return static_cast<T>(0x5a5a5a5a5a5a5a5aull);
}

/// Device memory between two stretches of guards (NaN for real numbers): what is read beyond the ends spoils results, what is written there is seen.
template <class T>
class Guarded {
 public:
  explicit Guarded(const std::vector<T>& values) : count_(static_cast<std::int64_t>(values.size())), memory_("test", values.size() + 2 * guards) {
    Kokkos::deep_copy(memory_, guard_value<T>());
    set(values);
  }
  /// `count` elements that nobody has written yet.
  explicit Guarded(std::int64_t count) : Guarded(std::vector<T>(static_cast<std::size_t>(count), guard_value<T>())) {}

  Span<T> span() const { return slice<T>(memory_, guards, count_); }
  operator Span<T>() const { return span(); }
  operator Span<const T>() const { return span(); }

  void set(const std::vector<T>& values) {
    const auto host = Kokkos::create_mirror_view(memory_);
    Kokkos::deep_copy(host, memory_);
    std::copy(values.begin(), values.end(), host.data() + guards);
    Kokkos::deep_copy(memory_, host);
  }
  void spoil() { set(std::vector<T>(static_cast<std::size_t>(count_), guard_value<T>())); }

  /// What it holds, after all that was launched.
  std::vector<T> values() const {
    const auto host = whole();
    return {host.data() + guards, host.data() + guards + count_};
  }
  bool guards_hold() const {
    const auto host = whole();
    const T guard = guard_value<T>();
    for (std::int64_t i = 0; i < guards; ++i)
      if (std::memcmp(&host(static_cast<std::size_t>(i)), &guard, sizeof guard) != 0 ||
          std::memcmp(&host(static_cast<std::size_t>(guards + count_ + i)), &guard, sizeof guard) != 0)
        return false;
    return true;
  }

 private:
  static constexpr std::int64_t guards = 64;
  HostMirror<T> whole() const {
    Kokkos::fence("trireme::test: results complete before they are read");
    const auto host = Kokkos::create_mirror_view(memory_);
    Kokkos::deep_copy(host, memory_);
    return host;
  }
  std::int64_t count_;
  Buffer<T> memory_;
};

template <class T>
std::vector<T> random_numbers(RandomStream& random, std::int64_t count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) value = static_cast<T>(random.uniform(-1, 1));
  return values;
}

/// Numbers in (-1, 1) in random order, no two nearer than 2/count, none nearer to 0 than 1/count: away from every kink and tie.
template <class T>
std::vector<T> separated_numbers(RandomStream& random, std::int64_t count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    values[static_cast<std::size_t>(i)] = static_cast<T>((2 * static_cast<double>(i) + (count % 2 == 0 ? 1.0 : 0.5)) / static_cast<double>(count) - 1);
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random.below(i)]);
  return values;
}

inline std::int64_t draw(RandomStream& random, std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(high - low + 1)));
}

template <class T>
T pick(RandomStream& random, const std::vector<T>& from) {
  return from[random.below(from.size())];
}

/// Largest difference over the largest magnitude expected, or over `magnitude` where that is larger (of terms that may cancel); infinite where
/// sizes differ or only one side is NaN.
template <class T, class U>
double distance(const std::vector<T>& found, const std::vector<U>& expected, double magnitude = 0) {
  if (found.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double difference = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double a = static_cast<double>(found[i]), b = static_cast<double>(expected[i]);
    if (std::isnan(a) && std::isnan(b)) continue;
    if (a == b) {  // infinities too
      if (std::isfinite(b)) magnitude = std::max(magnitude, std::abs(b));
      continue;
    }
    if (!std::isfinite(a) || !std::isfinite(b)) return std::numeric_limits<double>::infinity();
    difference = std::max(difference, std::abs(a - b));
    magnitude = std::max(magnitude, std::abs(b));
  }
  return difference == 0 ? 0 : difference / std::max(magnitude, std::numeric_limits<double>::min());
}

/// Whether two lists hold the same bits.
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

/// Rounding that is allowed in sums of some hundred terms, relative to the largest result.
template <class T>
constexpr double rounding = std::is_same_v<T, float> ? 1e-5 : 1e-13;

/// (N, C, ...) of files and PyTorch to (N, ..., C) of our memory, and back.
template <class T>
std::vector<T> to_channels_last(const std::vector<T>& x, const Shape& sample) {
  const std::size_t channels = static_cast<std::size_t>(sample[0]), pixels = static_cast<std::size_t>(sample.size()) / channels;
  std::vector<T> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t s = i / (channels * pixels), c = i / pixels % channels, p = i % pixels;
    y[(s * pixels + p) * channels + c] = x[i];
  }
  return y;
}
template <class T>
std::vector<T> to_channels_first(const std::vector<T>& x, const Shape& sample) {
  const std::size_t channels = static_cast<std::size_t>(sample[0]), pixels = static_cast<std::size_t>(sample.size()) / channels;
  std::vector<T> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t s = i / (channels * pixels), c = i / pixels % channels, p = i % pixels;
    y[i] = x[(s * pixels + p) * channels + c];
  }
  return y;
}

/// The default instance, and on the host one with a single thread: what depends on the number of threads differs.
inline std::vector<Execution> few_and_many_threads() {
  const Execution all;
  if (!on_host || all.concurrency() < 2) return {all};
  return {all, Kokkos::Experimental::partition_space(all, 1, all.concurrency() - 1)[0]};
}

}  // namespace trireme::test
