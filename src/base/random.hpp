// Counter-based random numbers: a pure function of (key, counter), the same on host and device, on any number of ranks.
// Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11, section 4.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#if defined(__CUDACC__) || defined(__HIPCC__)
#define TRIREME_FUNCTION __host__ __device__
#else
#define TRIREME_FUNCTION
#endif

namespace trireme {

struct Random4 {
  std::uint32_t v[4];
};

/// Ten rounds of Philox4x32. `counter` holds 128 bits, `key` 64.
TRIREME_FUNCTION inline Random4 philox(std::uint64_t key, std::uint64_t counter_high, std::uint64_t counter_low) {
  std::uint32_t c0 = static_cast<std::uint32_t>(counter_low), c1 = static_cast<std::uint32_t>(counter_low >> 32);
  std::uint32_t c2 = static_cast<std::uint32_t>(counter_high), c3 = static_cast<std::uint32_t>(counter_high >> 32);
  std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0;
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c2;
    const std::uint32_t n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const std::uint32_t n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<std::uint32_t>(p1);
    c3 = static_cast<std::uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// A uniform number in [0, 1) from 32 random bits; exact in float (24 bits are used).
TRIREME_FUNCTION inline float to_unit(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

/// Combines two words into a new key, so that different purposes (initialization, order, dropout...) use different streams.
TRIREME_FUNCTION inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z = a + 0x9E3779B97F4A7C15u * (b + 1);  // splitmix64 (Steele, Lea, Flood 2014)
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/// Sequential generator on one Philox stream, for host code.
class RandomStream {
 public:
  explicit RandomStream(std::uint64_t key, std::uint64_t stream = 0) : key_(key), stream_(stream) {}

  std::uint32_t bits() {
    if (used_ == 4) {
      block_ = philox(key_, stream_, next_++);
      used_ = 0;
    }
    return block_.v[used_++];
  }
  std::uint64_t bits64() { return (std::uint64_t{bits()} << 32) | bits(); }
  /// Uniform in [0, 1) with 53 bits.
  double uniform() { return static_cast<double>(bits64() >> 11) * 0x1p-53; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform in {0, ..., n-1}, without modulo bias beyond 2^-64 (Lemire's multiply-shift).
  std::uint64_t below(std::uint64_t n) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>((static_cast<Wide>(bits64()) * n) >> 64);
  }
  /// Standard normal (Box and Muller 1958).
  double normal() {
    const double u = 1.0 - uniform(), v = uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586476925 * v);
  }

 private:
  std::uint64_t key_, stream_, next_ = 0;
  Random4 block_{};
  int used_ = 4;
};

}  // namespace trireme
