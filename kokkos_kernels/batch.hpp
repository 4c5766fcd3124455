// From the bytes of a batch as they lie in the file to the network's input: cast, scale, normalise, channels last, in one pass.
#pragma once

#include <cstddef>

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// Samples as files have them, in Memory: scattered, one pointer each, or one after the other from `first` on.
struct RawSamples {
  const std::byte* const* each = nullptr;
  const std::byte* first = nullptr;
  std::int64_t bytes = 0;  // of one sample

  KOKKOS_INLINE_FUNCTION const std::byte* at(std::int64_t s) const { return each != nullptr ? each[s] : first + s * bytes; }
};

/// out(s, pixel, c) = raw(s, c, pixel) * factor(c) + shift(c); a raw sample is (channels, pixels) numbers of type Raw, any of the
/// ten integer and floating-point types of io/shard.hpp.
template <class Raw, class T>
void cast_batch(const Execution& exec, std::int64_t n, std::int64_t channels, std::int64_t pixels, const RawSamples& raw, Span<const T> factor,
                Span<const T> shift, Span<T> out);

}  // namespace trireme
