// (n, channels, pixels) of the files -> (n, pixels, channels) of the network, in one pass over memory:
//
//   raw(s, c, p) -> cast to T -> * factor(c) + shift(c) -> out(s, p, c)
//
// Augmentation gathers: an output pixel computes where in the file it comes from (flipped first, shifted by the crop then), so that no two threads write
// one place. Noise: Box and Muller 1958, on numbers of Philox (Salmon et al. 2011).
#include "kokkos_kernels/batch.hpp"

#include "base/random.hpp"
#include "kokkos_kernels/detail/launch.hpp"

namespace trireme {

namespace {

/// Where one sample's pixels come from.
struct Placement {
  KOKKOS_INLINE_FUNCTION Placement(const Augmentation& a, std::int64_t sample) {
    const Random4 r = philox(mix(a.key, 0), static_cast<std::uint64_t>(sample), 0);
    for (int axis = 0; axis < 3; ++axis) {
      const auto places = static_cast<std::uint64_t>(2 * a.crop[axis] + 1);
      offset[axis] = static_cast<std::int64_t>(places * r.v[axis] >> 32) - a.crop[axis];
      turned[axis] = a.flip[axis] && ((r.v[3] >> axis) & 1) != 0;
    }
    if (!a.shifts() && !a.rotates()) return;
    const Random4 more = philox(mix(a.key, 0), static_cast<std::uint64_t>(sample), 1);
    for (int axis = 0; axis < 3; ++axis) {
      rolled[axis] = a.shift[axis] ? static_cast<std::int64_t>(static_cast<std::uint64_t>(a.extents[axis]) * more.v[axis] >> 32) : 0;
      quarters[axis] = a.rotate[axis] ? static_cast<int>(more.v[3] >> (2 * axis) & 3) : 0;
    }
  }
  /// The coordinates, before the rotations, of the pixel that they bring to (z, y, x): numpy.rot90 in the order of the planes.
  KOKKOS_INLINE_FUNCTION void unrotate(const Augmentation& a, std::int64_t (&at)[3]) const {
    for (int plane = 2; plane >= 0; --plane) {
      // Not Augmentation::planes, which has no address on a device.
      const int first = plane == 0 ? 1 : 0, second = plane == 2 ? 1 : 2;
      const std::int64_t i = at[first], j = at[second], last = a.extents[first] - 1;
      if (quarters[plane] == 1) at[first] = j, at[second] = last - i;
      if (quarters[plane] == 2) at[first] = last - i, at[second] = last - j;
      if (quarters[plane] == 3) at[first] = last - j, at[second] = i;
    }
  }
  /// The place in the file of coordinate x along an axis: shifted first, cropped then, and flipped last. Outside [0, extent): what is filled in.
  KOKKOS_INLINE_FUNCTION std::int64_t source(const Augmentation& a, int axis, std::int64_t x) const {
    std::int64_t place = (turned[axis] ? a.extents[axis] - 1 - x : x) + offset[axis];
    if (a.fill == Augmentation::Fill::edge) place = place < 0 ? 0 : place < a.extents[axis] ? place : a.extents[axis] - 1;
    if (rolled[axis] == 0 || place < 0 || place >= a.extents[axis]) return place;
    return place < rolled[axis] ? place - rolled[axis] + a.extents[axis] : place - rolled[axis];
  }
  std::int64_t offset[3], rolled[3] = {0, 0, 0};
  bool turned[3];
  int quarters[3] = {0, 0, 0};
};

}  // namespace

template <class Raw, class T>
void cast_batch(const Execution& exec, std::int64_t n, std::int64_t channels, std::int64_t pixels, const RawSamples& raw, Span<const T> factor,
                Span<const T> shift, Span<T> out) {
  if (channels == 1 || pixels == 1)  // (channels, pixels) is (pixels, channels)
    return detail::for_rows(
        exec, "trireme::batch::cast_flat", n, channels * pixels, KOKKOS_LAMBDA(std::int64_t s, std::int64_t first, std::int64_t count) {
          const Raw* const in = reinterpret_cast<const Raw*>(raw.at(s));
          T* const to = out.data() + s * channels * pixels;
          if (channels == 1) {
            const T f = factor(0), b = shift(0);
            for (std::int64_t i = first; i < first + count; ++i) to[i] = static_cast<T>(in[i]) * f + b;
          } else {
            for (std::int64_t i = first; i < first + count; ++i) to[i] = static_cast<T>(in[i]) * factor(i) + shift(i);
          }
        });
  if constexpr (on_host) {
    // A thread takes a band of pixels, whose output stays in the first cache while the channels are laid into it one by one.
    const std::int64_t band = channels > 64 ? 64 : 4096 / channels, bands = (pixels + band - 1) / band;
    Kokkos::parallel_for(
        "trireme::batch::cast", Range(exec, 0, n * bands), KOKKOS_LAMBDA(std::int64_t item) {
          const std::int64_t s = item / bands, first = item % bands * band, last = detail::least(first + band, pixels);
          const Raw* const in = reinterpret_cast<const Raw*>(raw.at(s));
          T* const to = out.data() + s * channels * pixels;
          for (std::int64_t c = 0; c < channels; ++c) {
            const T f = factor(c), b = shift(c);
            for (std::int64_t p = first; p < last; ++p) to[p * channels + c] = static_cast<T>(in[c * pixels + p]) * f + b;
          }
        });
  } else {
    Kokkos::parallel_for(
        "trireme::batch::cast", Range(exec, 0, n * channels * pixels), KOKKOS_LAMBDA(std::int64_t i) {
          const std::int64_t c = i % channels, p = i / channels % pixels, s = i / (channels * pixels);
          out(i) = static_cast<T>(reinterpret_cast<const Raw*>(raw.at(s))[c * pixels + p]) * factor(c) + shift(c);
        });
  }
}

namespace {

/// augment_batch with rotations, which mix the axes: pixel by pixel.
template <class Raw, class T>
void rotate_batch(const Execution& exec, std::int64_t n, std::int64_t channels, const RawSamples& raw, Span<const T> factor, Span<const T> shift,
                  const Augmentation& augmentation, const Box& box, bool channels_first, Span<T> out) {
  const std::int64_t first_plane = box.first[0], first_line = box.first[1], left = box.first[2], lines = box.extent[1], width = box.extent[2];
  const std::int64_t to_pixels = box.pixels(), pixels = augmentation.extents[0] * augmentation.extents[1] * augmentation.extents[2];
  const std::int64_t between_pixels = channels_first ? 1 : channels, between_channels = channels_first ? to_pixels : 1;
  Kokkos::parallel_for(
      "trireme::batch::rotate", Range(exec, 0, n * to_pixels), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t s = i / to_pixels, pixel = i % to_pixels;
        const Raw* const in = reinterpret_cast<const Raw*>(raw.at(s));
        const Placement placement(augmentation, augmentation.first_sample + s);
        std::int64_t at[3] = {first_plane + pixel / (lines * width), first_line + pixel / width % lines, left + pixel % width};
        placement.unrotate(augmentation, at);
        bool there = true;
        for (int axis = 0; axis < 3; ++axis) {
          at[axis] = placement.source(augmentation, axis, at[axis]);
          there = there && at[axis] >= 0 && at[axis] < augmentation.extents[axis];
        }
        const std::int64_t from = (at[0] * augmentation.extents[1] + at[1]) * augmentation.extents[2] + at[2];
        for (std::int64_t c = 0; c < channels; ++c) {
          const T value = there ? static_cast<T>(in[c * pixels + from]) : T{};
          out(s * to_pixels * channels + pixel * between_pixels + c * between_channels) =
              there || augmentation.fill == Augmentation::Fill::zero ? value * factor(c) + shift(c) : T{};
        }
      });
}

}  // namespace

template <class Raw, class T>
void augment_batch(const Execution& exec, std::int64_t n, std::int64_t channels, const RawSamples& raw, Span<const T> factor, Span<const T> shift,
                   const Augmentation& augmentation, const Box& box, bool channels_first, Span<T> out) {
  if (augmentation.rotates()) return rotate_batch<Raw, T>(exec, n, channels, raw, factor, shift, augmentation, box, channels_first, out);
  const std::int64_t first_plane = box.first[0], first_line = box.first[1], left = box.first[2], lines = box.extent[1], width = box.extent[2];
  const std::int64_t rows = box.extent[0] * lines, pixels = augmentation.extents[0] * augmentation.extents[1] * augmentation.extents[2];
  // A thread has a row, on a device a pixel.
  const std::int64_t parts = on_host ? 1 : width, part = on_host ? width : 1;
  const std::int64_t between_pixels = channels_first ? 1 : channels, between_channels = channels_first ? rows * width : 1;
  Kokkos::parallel_for(
      "trireme::batch::augment", Range(exec, 0, n * rows * parts), KOKKOS_LAMBDA(std::int64_t at) {
        const std::int64_t i = at / parts, s = i / rows, row = i % rows, begin = at % parts * part;
        const Raw* const in = reinterpret_cast<const Raw*>(raw.at(s));
        const Placement placement(augmentation, augmentation.first_sample + s);
        const std::int64_t plane = placement.source(augmentation, 0, first_plane + row / lines),
                           line = placement.source(augmentation, 1, first_line + row % lines);
        const bool inside = plane >= 0 && plane < augmentation.extents[0] && line >= 0 && line < augmentation.extents[1];
        const std::int64_t from_row = (plane * augmentation.extents[1] + line) * augmentation.extents[2];
        const std::int64_t to_row = (s * rows * channels + row * between_pixels) * width;
        for (std::int64_t x = begin; x < begin + part; ++x) {
          const std::int64_t from = placement.source(augmentation, 2, left + x);
          const bool there = inside && from >= 0 && from < augmentation.extents[2];
          for (std::int64_t c = 0; c < channels; ++c) {
            const T value = there ? static_cast<T>(in[c * pixels + from_row + from]) : T{};
            out(to_row + x * between_pixels + c * between_channels) =
                there || augmentation.fill == Augmentation::Fill::zero ? value * factor(c) + shift(c) : static_cast<T>(augmentation.padding);
          }
        }
      });
}

template <class T>
void jitter_color(const Execution& exec, std::int64_t n, std::int64_t elements, const ColorJitter& jitter, Span<T> x) {
  Kokkos::parallel_for(
      "trireme::batch::jitter_color", Range(exec, 0, n * elements), KOKKOS_LAMBDA(std::int64_t i) {
        const Random4 r = philox(mix(jitter.key, 2), static_cast<std::uint64_t>(jitter.first_sample + i / elements), 0);
        const double a = 1 + jitter.contrast * (2 * static_cast<double>(to_unit(r.v[0])) - 1),
                     b = jitter.brightness * (2 * static_cast<double>(to_unit(r.v[1])) - 1);
        x(i) = static_cast<T>(a) * x(i) + static_cast<T>(b);
      });
}

template <class T>
void mix_pairs(const Execution& exec, std::int64_t n, std::int64_t elements, std::int64_t turn, double share, Span<T> x) {
  const T own = static_cast<T>(share), other = static_cast<T>(1 - share);
  Kokkos::parallel_for(
      "trireme::batch::mix_pairs", Range(exec, 0, n * elements), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t s = i / elements, partner = turn >= s ? turn - s : turn - s + n;
        if (s >= partner) return;
        const std::int64_t j = partner * elements + i % elements;
        const T a = x(i), b = x(j);
        x(i) = own * a + other * b;
        x(j) = own * b + other * a;
      });
}

template <class T>
void erase_boxes(const Execution& exec, std::int64_t n, const Erasing& erasing, const Region& region, Span<T> x) {
  const RegionMap map = region.map();
  const std::int64_t channels = map.local_channels, pixels = map.extent[0] * map.extent[1] * map.extent[2];
  Kokkos::parallel_for(
      "trireme::batch::erase", Range(exec, 0, n * pixels), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t s = i / pixels, pixel = i % pixels;
        const auto sample = static_cast<std::uint64_t>(erasing.first_sample + s);
        const Random4 sides = philox(mix(erasing.key, 3), sample, 0), places = philox(mix(erasing.key, 3), sample, 1);
        if (static_cast<double>(to_unit(sides.v[3])) >= erasing.probability) return;
        const std::int64_t at[3] = {pixel / (map.extent[1] * map.extent[2]), pixel / map.extent[2] % map.extent[1], pixel % map.extent[2]};
        for (int axis = 0; axis < 3; ++axis) {
          const std::int64_t side = 1 + static_cast<std::int64_t>(static_cast<std::uint64_t>(erasing.longest[axis]) * sides.v[axis] >> 32),
                             first = static_cast<std::int64_t>(static_cast<std::uint64_t>(map.whole[axis] - side + 1) * places.v[axis] >> 32),
                             place = map.first[axis] + at[axis];
          if (place < first || place >= first + side) return;
        }
        for (std::int64_t c = 0; c < channels; ++c) x(i * channels + c) = T{};
      });
}

namespace {

/// The numbers that are added to four elements, `quad` counted within the sample.
struct Noise {
  KOKKOS_INLINE_FUNCTION Noise(double deviation, std::uint64_t key, std::int64_t sample, std::int64_t quad) {
    const Random4 r = philox(mix(key, 1), static_cast<std::uint64_t>(sample), static_cast<std::uint64_t>(quad));
    for (int pair = 0; pair < 4; pair += 2) {  // Box and Muller 1958
      const double radius = deviation * Kokkos::sqrt(-2 * Kokkos::log(1 - static_cast<double>(to_unit(r.v[pair]))));
      const double angle = 6.283185307179586 * static_cast<double>(to_unit(r.v[pair + 1]));
      v[pair] = radius * Kokkos::cos(angle);
      v[pair + 1] = radius * Kokkos::sin(angle);
    }
  }
  double v[4];
};

/// A run of elements may begin and end within a four.
template <class T>
void add_noise_to_region(const Execution& exec, std::int64_t n, std::int64_t elements, double deviation, std::uint64_t key, std::int64_t first_sample,
                         Span<T> x, const RegionMap& region) {
  const std::int64_t run = region.run, runs = elements / run, quads = (run + 6) / 4;
  Kokkos::parallel_for(
      "trireme::batch::add_noise_to_region", Range(exec, 0, n * runs * quads), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t s = i / (runs * quads), local = i / quads % runs * run, global = region.global_element(local);
        const std::int64_t quad = global / 4 + i % quads, last = global + run < 4 * quad + 4 ? global + run : 4 * quad + 4;
        if (4 * quad >= last) return;
        const Noise noise(deviation, key, first_sample + s, quad);
        for (std::int64_t e = 4 * quad < global ? global : 4 * quad; e < last; ++e)
          x(s * elements + local + e - global) += static_cast<T>(noise.v[e - 4 * quad]);
      });
}

}  // namespace

template <class T>
void add_noise(const Execution& exec, std::int64_t n, std::int64_t elements, double deviation, std::uint64_t key, std::int64_t first_sample, Span<T> x,
               const Region& region) {
  if (elements == 0) return;
  if (!region.whole()) return add_noise_to_region<T>(exec, n, elements, deviation, key, first_sample, x, region.map());
  const std::int64_t quads = (elements + 3) / 4;  // of elements that share one draw
  Kokkos::parallel_for(
      "trireme::batch::add_noise", Range(exec, 0, n * quads), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t s = i / quads, first = 4 * (i % quads), last = first + 4 < elements ? first + 4 : elements;
        const Noise noise(deviation, key, first_sample + s, i % quads);
        for (std::int64_t e = first; e < last; ++e) x(s * elements + e) += static_cast<T>(noise.v[e - first]);
      });
}

#define TRIREME_INSTANTIATE_RAW(Raw, T)                                                                                                                   \
  template void cast_batch<Raw, T>(const Execution&, std::int64_t, std::int64_t, std::int64_t, const RawSamples&, Span<const T>, Span<const T>, Span<T>); \
  template void augment_batch<Raw, T>(const Execution&, std::int64_t, std::int64_t, const RawSamples&, Span<const T>, Span<const T>, const Augmentation&, \
                                      const Box&, bool, Span<T>);
#define TRIREME_INSTANTIATE(T)                                                                                                           \
  template void add_noise<T>(const Execution&, std::int64_t, std::int64_t, double, std::uint64_t, std::int64_t, Span<T>, const Region&); \
  template void jitter_color<T>(const Execution&, std::int64_t, std::int64_t, const ColorJitter&, Span<T>);                              \
  template void mix_pairs<T>(const Execution&, std::int64_t, std::int64_t, std::int64_t, double, Span<T>);                               \
  template void erase_boxes<T>(const Execution&, std::int64_t, const Erasing&, const Region&, Span<T>);                                  \
  TRIREME_INSTANTIATE_RAW(std::uint8_t, T)                                                                                               \
  TRIREME_INSTANTIATE_RAW(std::int8_t, T)                                                                                                \
  TRIREME_INSTANTIATE_RAW(std::uint16_t, T)                                                                                              \
  TRIREME_INSTANTIATE_RAW(std::int16_t, T)                                                                                               \
  TRIREME_INSTANTIATE_RAW(std::uint32_t, T)                                                                                              \
  TRIREME_INSTANTIATE_RAW(std::int32_t, T)                                                                                               \
  TRIREME_INSTANTIATE_RAW(std::uint64_t, T)                                                                                              \
  TRIREME_INSTANTIATE_RAW(std::int64_t, T)                                                                                               \
  TRIREME_INSTANTIATE_RAW(float, T)                                                                                                      \
  TRIREME_INSTANTIATE_RAW(double, T)
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE
#undef TRIREME_INSTANTIATE_RAW

}  // namespace trireme
