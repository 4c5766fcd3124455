#include "kokkos_kernels/batch.hpp"

namespace trireme {

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

#define TRIREME_INSTANTIATE_RAW(Raw, T) \
  template void cast_batch<Raw, T>(const Execution&, std::int64_t, std::int64_t, std::int64_t, const RawSamples&, Span<const T>, Span<const T>, Span<T>);
#define TRIREME_INSTANTIATE(T)              \
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
