#include "kokkos_kernels/softmax.hpp"

namespace trireme {

template <class T>
void softmax_forward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<T> y) {
  Kokkos::parallel_for("trireme::softmax::forward", Range(exec, 0, rows), KOKKOS_LAMBDA(std::int64_t r) {
    const T* const in = x.data() + r * channels;
    T* const out = y.data() + r * channels;
    T top = in[0];
    for (std::int64_t c = 1; c < channels; ++c) top = in[c] > top ? in[c] : top;
    T total{};
    for (std::int64_t c = 0; c < channels; ++c) {
      out[c] = Kokkos::exp(in[c] - top);
      total += out[c];
    }
    const T factor = T{1} / total;
    for (std::int64_t c = 0; c < channels; ++c) out[c] *= factor;
  });
}

template <class T>
void softmax_backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> y, Span<const T> dy, Span<T> dx) {
  Kokkos::parallel_for("trireme::softmax::backward", Range(exec, 0, rows), KOKKOS_LAMBDA(std::int64_t r) {
    const std::int64_t first = r * channels;
    T dot{};
    for (std::int64_t c = 0; c < channels; ++c) dot += y(first + c) * dy(first + c);
    for (std::int64_t c = 0; c < channels; ++c) dx(first + c) = y(first + c) * (dy(first + c) - dot);
  });
}

template <class T>
void log_softmax_forward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<T> y) {
  Kokkos::parallel_for("trireme::softmax::log_forward", Range(exec, 0, rows), KOKKOS_LAMBDA(std::int64_t r) {
    const T* const in = x.data() + r * channels;
    T* const out = y.data() + r * channels;
    T top = in[0];
    for (std::int64_t c = 1; c < channels; ++c) top = in[c] > top ? in[c] : top;
    T total{};
    for (std::int64_t c = 0; c < channels; ++c) total += Kokkos::exp(in[c] - top);
    const T log_total = Kokkos::log(total);
    for (std::int64_t c = 0; c < channels; ++c) out[c] = (in[c] - top) - log_total;
  });
}

template <class T>
void log_softmax_backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> y, Span<const T> dy, Span<T> dx) {
  Kokkos::parallel_for("trireme::softmax::log_backward", Range(exec, 0, rows), KOKKOS_LAMBDA(std::int64_t r) {
    const std::int64_t first = r * channels;
    T total{};
    for (std::int64_t c = 0; c < channels; ++c) total += dy(first + c);
    for (std::int64_t c = 0; c < channels; ++c) dx(first + c) = dy(first + c) - Kokkos::exp(y(first + c)) * total;
  });
}

#define TRIREME_INSTANTIATE(T)                                                                          \
  template void log_softmax_forward(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<T>);                 \
  template void log_softmax_backward(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const T>, Span<T>); \
  template void softmax_forward(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<T>);  \
  template void softmax_backward(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const T>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
