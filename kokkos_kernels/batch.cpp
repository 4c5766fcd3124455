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
  /// The place in the file of coordinate x along an axis: cropped first, and flipped then. Outside [0, extent): zeros.
  KOKKOS_INLINE_FUNCTION std::int64_t source(const Augmentation& a, int axis, std::int64_t x) const {
    return (turned[axis] ? a.extents[axis] - 1 - x : x) + offset[axis];
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
                   const Augmentation& augmentation, Span<T> out) {
  const std::int64_t rows = augmentation.extents[0] * augmentation.extents[1], width = augmentation.extents[2], pixels = rows * width;
  Kokkos::parallel_for("trireme::batch::augment", Range(exec, 0, n * rows), KOKKOS_LAMBDA(std::int64_t i) {
    const std::int64_t s = i / rows, first = i % rows * width;
    const Raw* const in = reinterpret_cast<const Raw*>(raw.at(s));
    const Placement placement(augmentation, augmentation.first_sample + s);
    const std::int64_t row = i % rows, plane = placement.source(augmentation, 0, row / augmentation.extents[1]),
                       line = placement.source(augmentation, 1, row % augmentation.extents[1]);
    const bool inside = plane >= 0 && plane < augmentation.extents[0] && line >= 0 && line < augmentation.extents[1];
    const Raw* const from_row = in + (plane * augmentation.extents[1] + line) * width;
    for (std::int64_t x = 0; x < width; ++x) {
      const std::int64_t from = placement.source(augmentation, 2, x);
      const bool there = inside && from >= 0 && from < width;
      for (std::int64_t c = 0; c < channels; ++c) {
        const T value = there ? static_cast<T>(from_row[c * pixels + from]) : T{};
        out((s * pixels + first + x) * channels + c) = value * factor(c) + shift(c);
      }
    }
  });
}

template <class T>
void add_noise(const Execution& exec, std::int64_t n, std::int64_t elements, double deviation, std::uint64_t key, std::int64_t first_sample, Span<T> x) {
  const std::int64_t quads = (elements + 3) / 4;  // of elements that share one draw
  Kokkos::parallel_for("trireme::batch::add_noise", Range(exec, 0, n * quads), KOKKOS_LAMBDA(std::int64_t i) {
    const std::int64_t s = i / quads, first = 4 * (i % quads), last = first + 4 < elements ? first + 4 : elements;
    const Random4 r = philox(mix(key, 1), static_cast<std::uint64_t>(first_sample + s), static_cast<std::uint64_t>(i % quads));
    double noise[4];
    for (int pair = 0; pair < 4; pair += 2) {  // Box and Muller 1958
      const double radius = deviation * Kokkos::sqrt(-2 * Kokkos::log(1 - static_cast<double>(to_unit(r.v[pair]))));
      const double angle = 6.283185307179586 * static_cast<double>(to_unit(r.v[pair + 1]));
      noise[pair] = radius * Kokkos::cos(angle);
      noise[pair + 1] = radius * Kokkos::sin(angle);
    }
    for (std::int64_t e = first; e < last; ++e) x(s * elements + e) += static_cast<T>(noise[e - first]);
  });
}

#define TRIREME_INSTANTIATE_RAW(Raw, T) \
  template void cast_batch<Raw, T>(const Execution&, std::int64_t, std::int64_t, std::int64_t, const RawSamples&, Span<const T>, Span<const T>, Span<T>); \
  template void augment_batch<Raw, T>(const Execution&, std::int64_t, std::int64_t, const RawSamples&, Span<const T>, Span<const T>, const Augmentation&, Span<T>);
#define TRIREME_INSTANTIATE(T)              \
  template void add_noise<T>(const Execution&, std::int64_t, std::int64_t, double, std::uint64_t, std::int64_t, Span<T>); \
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
