// From the bytes of a batch as they lie in the file to the network's input: cast, scale, normalise, channels last, in one pass; in
// training also flipped and cropped. Noise comes by a pass of its own, so that what is without it can be kept.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/box.hpp"
#include "kokkos_kernels/region.hpp"
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

/// What is drawn for each sample, a function of (key, sample's place in the global batch) alone: the same on any number of ranks.
struct Augmentation {
  std::int64_t extents[3] = {1, 1, 1};  // (D, H, W)
  bool flip[3] = {};                    // axes that are turned round with probability 1/2
  std::int64_t crop[3] = {};            // pixels added at both ends of an axis, before as much as was there is cut out
  enum class Fill : std::uint8_t { zero, mean, edge } fill = Fill::zero;  // they are zeros of the file, zeros after normalisation, or the nearest pixel
  std::uint64_t key = 0;
  std::int64_t first_sample = 0;        // place of sample 0 in the global batch

  Box whole() const { return {.extent = {extents[0], extents[1], extents[2]}}; }
};

/// As cast_batch, of samples with as many pixels as the extents say. `out` gets this box of each augmented sample, (n, box's pixels, channels), or
/// with `channels_first` (n, channels, box's pixels).
template <class Raw, class T>
void augment_batch(const Execution& exec, std::int64_t n, std::int64_t channels, const RawSamples& raw, Span<const T> factor, Span<const T> shift,
                   const Augmentation& augmentation, const Box& box, bool channels_first, Span<T> out);

/// Adds independent normal numbers of this standard deviation to the n samples of `elements` numbers in x. Those of a sample are a function of (key,
/// first_sample + its place in x) and, where the elements are a region of the sample, of their places in the whole sample.
template <class T>
void add_noise(const Execution& exec, std::int64_t n, std::int64_t elements, double deviation, std::uint64_t key, std::int64_t first_sample, Span<T> x,
               const Region& region = {});

}  // namespace trireme
