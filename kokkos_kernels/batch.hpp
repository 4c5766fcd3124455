// Converts a batch from its stored form to the network's input in one pass: cast, scale, normalize, transpose to channels last; in training also flip
// crop, shift and rotate. Changes of brightness and contrast, noise and erased boxes are separate passes, so that the input without noise can be kept.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/box.hpp"
#include "kokkos_kernels/region.hpp"
#include "kokkos_kernels/types.hpp"

namespace trireme {

/// Samples in stored form, in memory space Memory: scattered with one pointer each, or contiguous from `first` on.
struct RawSamples {
  const std::byte* const* each = nullptr;
  const std::byte* first = nullptr;
  std::int64_t bytes = 0;  // per sample

  KOKKOS_INLINE_FUNCTION const std::byte* at(std::int64_t s) const { return each != nullptr ? each[s] : first + s * bytes; }
};

/// out(s, pixel, c) = raw(s, c, pixel) * factor(c) + shift(c); a raw sample is (channels, pixels) numbers of type Raw, any of the
/// ten integer and floating-point types of io/shard.hpp.
template <class Raw, class T>
void cast_batch(const Execution& exec, std::int64_t n, std::int64_t channels, std::int64_t pixels, const RawSamples& raw, Span<const T> factor,
                Span<const T> shift, Span<T> out);

/// Random choices for each sample depend on (key, sample's place in the global batch) only: they are the same on any number of ranks.
struct Augmentation {
  std::int64_t extents[3] = {1, 1, 1};                                    // (D, H, W)
  bool flip[3] = {};                                                      // axes that are reversed with probability 1/2
  std::int64_t crop[3] = {};                                              // padding at both ends of an axis, before a random crop to the original extent
  enum class Fill : std::uint8_t { zero, mean, edge } fill = Fill::zero;  // padding value: zero of the file, zero after normalization, or the nearest pixel
  double padding = 0;                                                     // of Fill::mean: the value itself
  bool shift[3] = {};                                                     // periodic axes, which are rolled by a random offset before the crop
  bool rotate[3] = {};  // planes that are turned by a random number of quarter turns after the flips: (y, x), (z, x), (z, y), with equal extents
  std::uint64_t key = 0;
  std::int64_t first_sample = 0;  // place of sample 0 in the global batch

  /// The axes of a plane of `rotate`; numpy.rot90(sample, k, axes = (first, second)) turns it.
  static constexpr int planes[3][2] = {{1, 2}, {0, 2}, {0, 1}};
  KOKKOS_FUNCTION bool rotates() const { return rotate[0] || rotate[1] || rotate[2]; }
  KOKKOS_FUNCTION bool shifts() const { return shift[0] || shift[1] || shift[2]; }
  Box whole() const { return {.extent = {extents[0], extents[1], extents[2]}}; }
};

/// cast_batch with augmentation, for samples with the extents in `augmentation`. `out` receives the box of each augmented sample: (n, box's pixels,
/// channels), or (n, channels, box's pixels) with `channels_first`.
template <class Raw, class T>
void augment_batch(const Execution& exec, std::int64_t n, std::int64_t channels, const RawSamples& raw, Span<const T> factor, Span<const T> shift,
                   const Augmentation& augmentation, const Box& box, bool channels_first, Span<T> out);

/// Changes of a sample's values: x = a x + b, with a uniform in 1 +- contrast and b uniform in +- brightness.
struct ColorJitter {
  double brightness = 0, contrast = 0;
  std::uint64_t key = 0;
  std::int64_t first_sample = 0;
};
/// For n samples of `elements` numbers each. The numbers a and b of a sample depend on (key, its place in the global batch).
template <class T>
void jitter_color(const Execution& exec, std::int64_t n, std::int64_t elements, const ColorJitter& jitter, Span<T> x);

/// Mixes pairs of the n samples in place: with sample p = (turn - s) mod n, sample s becomes share x_s + (1 - share) x_p, and p likewise. A sample that is its
/// own partner stays as it is.
template <class T>
void mix_pairs(const Execution& exec, std::int64_t n, std::int64_t elements, std::int64_t turn, double share, Span<T> x);

/// A random box of a sample is erased: its sides are uniform between 1 and `longest`, its place is uniform.
struct Erasing {
  double probability = 0;
  std::int64_t longest[3] = {1, 1, 1};
  std::uint64_t key = 0;
  std::int64_t first_sample = 0;
};
/// Sets the elements of the box to 0 in n samples, of which x has this region. The box depends on (key, the sample's place in the global batch).
template <class T>
void erase_boxes(const Execution& exec, std::int64_t n, const Erasing& erasing, const Region& region, Span<T> x);

/// Adds independent normal numbers of this standard deviation to the n samples of `elements` numbers in x. The numbers of a sample depend on (key,
/// first_sample + its place in x) and on the positions of its elements in the whole sample, if these are a region of it.
template <class T>
void add_noise(const Execution& exec, std::int64_t n, std::int64_t elements, double deviation, std::uint64_t key, std::int64_t first_sample, Span<T> x,
               const Region& region = {});

}  // namespace trireme
