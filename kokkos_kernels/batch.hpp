// From the bytes of a batch as they lie in the file to the network's input: cast, scale, normalise, channels last, in one pass.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// out(s, pixel, c) = raw(s, c, pixel) * factor(c) + shift(c); raw is (n, channels, pixels) as files have it. Raw is any of the ten
/// integer and floating-point types of io/shard.hpp. `raw` lies in Memory.
template <class Raw, class T>
void cast_batch(const Execution& exec, std::int64_t n, std::int64_t channels, std::int64_t pixels, const Raw* raw, Span<const T> factor,
                Span<const T> shift, Span<T> out);

}  // namespace trireme
