#include "kokkos_kernels/batch.hpp"

#include "base/random.hpp"

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
  }
  /// The place in the file of coordinate x along an axis: cropped first, and flipped then. Outside [0, extent): what is filled in.
  KOKKOS_INLINE_FUNCTION std::int64_t source(const Augmentation& a, int axis, std::int64_t x) const {
    const std::int64_t place = (turned[axis] ? a.extents[axis] - 1 - x : x) + offset[axis];
    if (a.fill != Augmentation::Fill::edge) return place;
    return place < 0 ? 0 : place < a.extents[axis] ? place : a.extents[axis] - 1;
  }
  std::int64_t offset[3];
  bool turned[3];
};

}  // namespace

template <class Raw, class T>
void cast_batch(const Execution& exec, std::int64_t n, std::int64_t channels, std::int64_t pixels, const RawSamples& raw, Span<const T> factor,
                Span<const T> shift, Span<T> out) {
  if constexpr (on_host)
    Kokkos::parallel_for("trireme::batch::cast", Range(exec, 0, n), KOKKOS_LAMBDA(std::int64_t s) {
      const Raw* const in = reinterpret_cast<const Raw*>(raw.at(s));
      T* const to = out.data() + s * channels * pixels;
      if (pixels == 1) {
        for (std::int64_t c = 0; c < channels; ++c) to[c] = static_cast<T>(in[c]) * factor(c) + shift(c);
        return;
      }
      for (std::int64_t c = 0; c < channels; ++c) {
        const T f = factor(c), b = shift(c);
        if (channels == 1)
          for (std::int64_t p = 0; p < pixels; ++p) to[p] = static_cast<T>(in[p]) * f + b;
        else
          for (std::int64_t p = 0; p < pixels; ++p) to[p * channels + c] = static_cast<T>(in[c * pixels + p]) * f + b;
      }
    });
  else
    Kokkos::parallel_for("trireme::batch::cast", Range(exec, 0, n * channels * pixels), KOKKOS_LAMBDA(std::int64_t i) {
      const std::int64_t c = i % channels, p = i / channels % pixels, s = i / (channels * pixels);
      out(i) = static_cast<T>(reinterpret_cast<const Raw*>(raw.at(s))[c * pixels + p]) * factor(c) + shift(c);
    });
}

template <class Raw, class T>
void augment_batch(const Execution& exec, std::int64_t n, std::int64_t channels, const RawSamples& raw, Span<const T> factor, Span<const T> shift,
                   const Augmentation& augmentation, const Box& box, bool channels_first, Span<T> out) {
  const std::int64_t first_plane = box.first[0], first_line = box.first[1], left = box.first[2], lines = box.extent[1], width = box.extent[2];
  const std::int64_t rows = box.extent[0] * lines, pixels = augmentation.extents[0] * augmentation.extents[1] * augmentation.extents[2];
  // A thread has a row, on a device a pixel.
  const std::int64_t parts = on_host ? 1 : width, part = on_host ? width : 1;
  const std::int64_t between_pixels = channels_first ? 1 : channels, between_channels = channels_first ? rows * width : 1;
  Kokkos::parallel_for("trireme::batch::augment", Range(exec, 0, n * rows * parts), KOKKOS_LAMBDA(std::int64_t at) {
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
            there || augmentation.fill == Augmentation::Fill::zero ? value * factor(c) + shift(c) : T{};
      }
    }
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
  Kokkos::parallel_for("trireme::batch::add_noise_to_region", Range(exec, 0, n * runs * quads), KOKKOS_LAMBDA(std::int64_t i) {
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
  Kokkos::parallel_for("trireme::batch::add_noise", Range(exec, 0, n * quads), KOKKOS_LAMBDA(std::int64_t i) {
    const std::int64_t s = i / quads, first = 4 * (i % quads), last = first + 4 < elements ? first + 4 : elements;
    const Noise noise(deviation, key, first_sample + s, i % quads);
    for (std::int64_t e = first; e < last; ++e) x(s * elements + e) += static_cast<T>(noise.v[e - first]);
  });
}

#define TRIREME_INSTANTIATE_RAW(Raw, T) \
  template void cast_batch<Raw, T>(const Execution&, std::int64_t, std::int64_t, std::int64_t, const RawSamples&, Span<const T>, Span<const T>, Span<T>); \
  template void augment_batch<Raw, T>(const Execution&, std::int64_t, std::int64_t, const RawSamples&, Span<const T>, Span<const T>, const Augmentation&, const Box&, bool, Span<T>);
#define TRIREME_INSTANTIATE(T)              \
  template void add_noise<T>(const Execution&, std::int64_t, std::int64_t, double, std::uint64_t, std::int64_t, Span<T>, const Region&); \
  TRIREME_INSTANTIATE_RAW(std::uint8_t, T)  \
  TRIREME_INSTANTIATE_RAW(std::int8_t, T)   \
  TRIREME_INSTANTIATE_RAW(std::uint16_t, T) \
  TRIREME_INSTANTIATE_RAW(std::int16_t, T)  \
  TRIREME_INSTANTIATE_RAW(std::uint32_t, T) \
  TRIREME_INSTANTIATE_RAW(std::int32_t, T)  \
  TRIREME_INSTANTIATE_RAW(std::uint64_t, T) \
  TRIREME_INSTANTIATE_RAW(std::int64_t, T)  \
  TRIREME_INSTANTIATE_RAW(float, T)         \
  TRIREME_INSTANTIATE_RAW(double, T)
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE
#undef TRIREME_INSTANTIATE_RAW

}  // namespace trireme
