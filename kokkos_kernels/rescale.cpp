#include "kokkos_kernels/rescale.hpp"

namespace trireme {

template <class T>
void rescale(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> factor, Span<const T> shift, Span<T> y) {
  Kokkos::parallel_for(
      "trireme::rescale", Range(exec, 0, rows), KOKKOS_LAMBDA(std::int64_t row) {
        for (std::int64_t c = 0; c < channels; ++c) y(row * channels + c) = x(row * channels + c) * factor(c) + shift(c);
      });
}

template void rescale(const Execution&, std::int64_t, std::int64_t, Span<const float>, Span<const float>, Span<const float>, Span<float>);
template void rescale(const Execution&, std::int64_t, std::int64_t, Span<const double>, Span<const double>, Span<const double>, Span<double>);

}  // namespace trireme
