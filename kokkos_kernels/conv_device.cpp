// Convolution on a device: one thread an element, walking the same lists of taps' geometry. Right everywhere; vendor libraries are faster.
#include "base/error.hpp"
#include "kokkos_kernels/conv.hpp"
#include "kokkos_kernels/detail/conv_taps.hpp"

namespace trireme {

template <class T>
struct ConvPlan<T>::Host {};

template <class T>
ConvPlan<T>::ConvPlan(const ConvGeometry& geometry, const ConvTail& tail) : geometry_(geometry), tail_(tail) {
  if (tail.pools()) throw internal_error("a device's convolution cannot pool");
}

template <class T>
void ConvPlan<T>::forward(const Execution& exec, std::int64_t n, Span<const T> x, Span<const T> w, Span<const T> bias, Span<T> y,
                          Span<std::uint8_t>, Span<T>) const {
  const ConvGeometry g = geometry_;
  const std::int64_t icg = g.in_channels / g.groups, ocg = g.out_channels / g.groups, taps = g.taps();
  const bool has_bias = bias.data() != nullptr;
  const T slope = static_cast<T>(tail_.slope);
  Kokkos::parallel_for("trireme::conv::forward", Range(exec, 0, n * g.out_pixels() * g.out_channels), KOKKOS_LAMBDA(std::int64_t i) {
    const std::int64_t m = i % g.out_channels;
    std::int64_t at = i / g.out_channels;
    const std::int64_t ow = at % g.out[2], oh = at / g.out[2] % g.out[1], od = at / (g.out[2] * g.out[1]) % g.out[0];
    const std::int64_t s = at / g.out_pixels();
    T sum = has_bias ? bias(m) : T{};
    for (std::int64_t t = 0; t < taps; ++t) {
      const std::int64_t kw = t % g.kernel[2], kh = t / g.kernel[2] % g.kernel[1], kd = t / (g.kernel[2] * g.kernel[1]);
      const std::int64_t d = od * g.stride[0] - g.padding[0] + kd * g.dilation[0], h = oh * g.stride[1] - g.padding[1] + kh * g.dilation[1],
                         v = ow * g.stride[2] - g.padding[2] + kw * g.dilation[2];
      if (d < 0 || d >= g.in[0] || h < 0 || h >= g.in[1] || v < 0 || v >= g.in[2]) continue;
      const std::int64_t from = (((s * g.in[0] + d) * g.in[1] + h) * g.in[2] + v) * g.in_channels + m / ocg * icg;
      for (std::int64_t c = 0; c < icg; ++c) sum += x(from + c) * w((m * icg + c) * taps + t);
    }
    y(i) = sum < T{} && slope != T{1} ? slope * sum : sum;
  });
}

template <class T>
void ConvPlan<T>::backward_data(const Execution& exec, std::int64_t n, const ConvGradient<T>& gradient, Span<const T> w, Span<T> dx, Span<T>) const {
  const ConvGeometry g = geometry_;
  const Span<const T> dy = gradient.dy;
  const std::int64_t icg = g.in_channels / g.groups, ocg = g.out_channels / g.groups, taps = g.taps();
  Kokkos::parallel_for("trireme::conv::backward_data", Range(exec, 0, n * g.in_pixels() * g.in_channels), KOKKOS_LAMBDA(std::int64_t i) {
    const std::int64_t c = i % g.in_channels, group = c / icg;
    std::int64_t at = i / g.in_channels;
    const std::int64_t v = at % g.in[2], h = at / g.in[2] % g.in[1], d = at / (g.in[2] * g.in[1]) % g.in[0];
    const std::int64_t s = at / g.in_pixels();
    T sum{};
    for (std::int64_t t = 0; t < taps; ++t) {
      const std::int64_t kw = t % g.kernel[2], kh = t / g.kernel[2] % g.kernel[1], kd = t / (g.kernel[2] * g.kernel[1]);
      const std::int64_t rd = d + g.padding[0] - kd * g.dilation[0], rh = h + g.padding[1] - kh * g.dilation[1],
                         rw = v + g.padding[2] - kw * g.dilation[2];
      if (rd < 0 || rh < 0 || rw < 0 || rd % g.stride[0] || rh % g.stride[1] || rw % g.stride[2]) continue;
      const std::int64_t od = rd / g.stride[0], oh = rh / g.stride[1], ow = rw / g.stride[2];
      if (od >= g.out[0] || oh >= g.out[1] || ow >= g.out[2]) continue;
      const std::int64_t from = (((s * g.out[0] + od) * g.out[1] + oh) * g.out[2] + ow) * g.out_channels + group * ocg;
      for (std::int64_t m = 0; m < ocg; ++m) sum += dy(from + m) * w(((group * ocg + m) * icg + c % icg) * taps + t);
    }
    dx(i) = sum;
  });
}

template <class T>
void ConvPlan<T>::backward_weights(const Execution& exec, std::int64_t n, Span<const T> x, const ConvGradient<T>& gradient, Span<T> dw, Span<T> dbias,
                                   Span<T>) const {
  const ConvGeometry g = geometry_;
  const Span<const T> dy = gradient.dy;
  const std::int64_t icg = g.in_channels / g.groups, ocg = g.out_channels / g.groups, taps = g.taps(), pixels = n * g.out_pixels();
  using Team = Kokkos::TeamPolicy<Execution, Kokkos::IndexType<std::int64_t>>;
  Kokkos::parallel_for(
      "trireme::conv::backward_weights", Team(exec, static_cast<int>(g.weights()), Kokkos::AUTO), KOKKOS_LAMBDA(const Team::member_type& team) {
        const std::int64_t i = team.league_rank(), t = i % taps, c = i / taps % icg, m = i / taps / icg;
        const std::int64_t kw = t % g.kernel[2], kh = t / g.kernel[2] % g.kernel[1], kd = t / (g.kernel[2] * g.kernel[1]);
        T sum{};
        Kokkos::parallel_reduce(
            Kokkos::TeamThreadRange(team, pixels),
            [&](std::int64_t p, T& local) {
              const std::int64_t ow = p % g.out[2], oh = p / g.out[2] % g.out[1], od = p / (g.out[2] * g.out[1]) % g.out[0];
              const std::int64_t d = od * g.stride[0] - g.padding[0] + kd * g.dilation[0], h = oh * g.stride[1] - g.padding[1] + kh * g.dilation[1],
                                 v = ow * g.stride[2] - g.padding[2] + kw * g.dilation[2];
              if (d < 0 || d >= g.in[0] || h < 0 || h >= g.in[1] || v < 0 || v >= g.in[2]) return;
              const std::int64_t s = p / g.out_pixels();
              local += x((((s * g.in[0] + d) * g.in[1] + h) * g.in[2] + v) * g.in_channels + m / ocg * icg + c) * dy(p * g.out_channels + m);
            },
            sum);
        Kokkos::single(Kokkos::PerTeam(team), [&] { dw(i) += sum; });
      });
  if (dbias.data() == nullptr) return;
  Kokkos::parallel_for(
      "trireme::conv::backward_bias", Team(exec, static_cast<int>(g.out_channels), Kokkos::AUTO), KOKKOS_LAMBDA(const Team::member_type& team) {
        const std::int64_t m = team.league_rank();
        T sum{};
        Kokkos::parallel_reduce(Kokkos::TeamThreadRange(team, pixels), [&](std::int64_t p, T& local) { local += dy(p * g.out_channels + m); }, sum);
        Kokkos::single(Kokkos::PerTeam(team), [&] { dbias(m) += sum; });
      });
}

template class ConvPlan<float>;
template class ConvPlan<double>;

}  // namespace trireme
