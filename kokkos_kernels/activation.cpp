// One launch per activation over all elements, whatever the layout. The backward pass reads x or y, not both (backward_reads_input), so that the other's
// memory is free for reuse. gelu is the exact one, x/2 (1 + erf(x / sqrt 2)).
#include "kokkos_kernels/activation.hpp"

namespace trireme {

namespace {

template <class T, class F>
void map(const Execution& exec, const char* label, std::int64_t count, const F& f) {
  Kokkos::parallel_for(label, Range(exec, 0, count), f);
}

}  // namespace

template <class T>
void activation_forward(const Execution& exec, Activation kind, std::int64_t count, Span<const T> x, Span<T> y, T slope, T threshold) {
  const T* const in = x.data();
  T* const out = y.data();
  switch (kind) {
    case Activation::relu:
      map<T>(
          exec, "trireme::activation::relu", count, KOKKOS_LAMBDA(std::int64_t i) { out[i] = in[i] < T{} ? T{} : in[i]; });
      break;
    case Activation::leaky_relu:
      map<T>(
          exec, "trireme::activation::leaky_relu", count, KOKKOS_LAMBDA(std::int64_t i) { out[i] = in[i] > T{} ? in[i] : slope * in[i]; });
      break;
    case Activation::tanh:
      map<T>(
          exec, "trireme::activation::tanh", count, KOKKOS_LAMBDA(std::int64_t i) { out[i] = Kokkos::tanh(in[i]); });
      break;
    case Activation::sigmoid:
      map<T>(
          exec, "trireme::activation::sigmoid", count, KOKKOS_LAMBDA(std::int64_t i) { out[i] = T{1} / (T{1} + Kokkos::exp(-in[i])); });
      break;
    case Activation::gelu:
      map<T>(
          exec, "trireme::activation::gelu", count,
          KOKKOS_LAMBDA(std::int64_t i) { out[i] = in[i] * T(0.5) * (T{1} + Kokkos::erf(in[i] * T(0.70710678118654752440))); });
      break;
    case Activation::silu:
      map<T>(
          exec, "trireme::activation::silu", count, KOKKOS_LAMBDA(std::int64_t i) { out[i] = in[i] / (T{1} + Kokkos::exp(-in[i])); });
      break;
    case Activation::elu:
      map<T>(
          exec, "trireme::activation::elu", count, KOKKOS_LAMBDA(std::int64_t i) { out[i] = in[i] > T{} ? in[i] : slope * Kokkos::expm1(in[i]); });
      break;
    case Activation::softplus:
      map<T>(
          exec, "trireme::activation::softplus", count,
          KOKKOS_LAMBDA(std::int64_t i) { out[i] = slope * in[i] > threshold ? in[i] : Kokkos::log1p(Kokkos::exp(slope * in[i])) / slope; });
      break;
  }
}

template <class T>
void activation_backward(const Execution& exec, Activation kind, std::int64_t count, Span<const T> x, Span<const T> y, Span<const T> dy, Span<T> dx, T slope,
                         T threshold) {
  const T* const in = x.data();
  const T* const out = y.data();
  const T* const g = dy.data();
  T* const to = dx.data();
  switch (kind) {
    case Activation::relu:
      map<T>(
          exec, "trireme::activation::relu_backward", count, KOKKOS_LAMBDA(std::int64_t i) {
            const T y_i = out[i], g_i = g[i];  // both read in any case: a choice, not a branch
            to[i] = y_i <= T{} ? T{} : g_i;
          });
      break;
    case Activation::leaky_relu:
      map<T>(
          exec, "trireme::activation::leaky_relu_backward", count, KOKKOS_LAMBDA(std::int64_t i) {
            const T y_i = out[i], g_i = g[i];
            to[i] = y_i > T{} ? g_i : slope * g_i;
          });
      break;
    case Activation::tanh:
      map<T>(
          exec, "trireme::activation::tanh_backward", count, KOKKOS_LAMBDA(std::int64_t i) { to[i] = g[i] * (T{1} - out[i] * out[i]); });
      break;
    case Activation::sigmoid:
      map<T>(
          exec, "trireme::activation::sigmoid_backward", count, KOKKOS_LAMBDA(std::int64_t i) { to[i] = g[i] * out[i] * (T{1} - out[i]); });
      break;
    case Activation::gelu:
      map<T>(
          exec, "trireme::activation::gelu_backward", count, KOKKOS_LAMBDA(std::int64_t i) {
            const T v = in[i], phi = T(0.39894228040143267794) * Kokkos::exp(T(-0.5) * v * v);
            to[i] = g[i] * (T(0.5) * (T{1} + Kokkos::erf(v * T(0.70710678118654752440))) + v * phi);
          });
      break;
    case Activation::silu:
      map<T>(
          exec, "trireme::activation::silu_backward", count, KOKKOS_LAMBDA(std::int64_t i) {
            const T s = T{1} / (T{1} + Kokkos::exp(-in[i]));
            to[i] = g[i] * s * (T{1} + in[i] * (T{1} - s));
          });
      break;
    case Activation::elu:
      map<T>(
          exec, "trireme::activation::elu_backward", count, KOKKOS_LAMBDA(std::int64_t i) { to[i] = out[i] > T{} ? g[i] : g[i] * (out[i] + slope); });
      break;
    case Activation::softplus:
      map<T>(
          exec, "trireme::activation::softplus_backward", count,
          KOKKOS_LAMBDA(std::int64_t i) { to[i] = slope * in[i] > threshold ? g[i] : g[i] / (T{1} + Kokkos::exp(-slope * in[i])); });
      break;
  }
}

#define TRIREME_INSTANTIATE(T)                                                                                \
  template void activation_forward(const Execution&, Activation, std::int64_t, Span<const T>, Span<T>, T, T); \
  template void activation_backward(const Execution&, Activation, std::int64_t, Span<const T>, Span<const T>, Span<const T>, Span<T>, T, T);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
