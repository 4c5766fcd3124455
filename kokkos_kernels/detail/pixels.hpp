// Loops over the pixels of channels-last activations, for kernels whose pixels are independent.
#pragma once

#include <array>

#include "kokkos_kernels/types.hpp"

namespace trireme::detail {

struct PixelPlace {
  std::int64_t sample;
  std::int64_t at[3];
};

/// The sample and the position of a pixel of samples of this extent.
KOKKOS_INLINE_FUNCTION PixelPlace pixel_place(std::int64_t pixel, const std::array<std::int64_t, 3>& extent) {
  return {pixel / (extent[0] * extent[1] * extent[2]), {pixel / (extent[1] * extent[2]) % extent[0], pixel / extent[2] % extent[1], pixel % extent[2]}};
}

/// f(pixel, first channel, channels): on the host all channels of a pixel at once, on a device one.
template <class F>
void for_pixel_channels(const Execution& exec, const char* label, std::int64_t pixels, std::int64_t channels, const F& f) {
  if constexpr (on_host)
    Kokkos::parallel_for(
        label, Range(exec, 0, pixels), KOKKOS_LAMBDA(std::int64_t pixel) { f(pixel, std::int64_t{0}, channels); });
  else
    Kokkos::parallel_for(
        label, Range(exec, 0, pixels * channels), KOKKOS_LAMBDA(std::int64_t i) { f(i / channels, i % channels, std::int64_t{1}); });
}

}  // namespace trireme::detail
