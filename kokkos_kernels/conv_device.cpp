// Convolution on a device: matrix products on lowered rows where there is a library for them and no groups; else one thread an element, which is
// right everywhere and fast nowhere.
#include <type_traits>

#include "base/error.hpp"
#include "kokkos_kernels/conv.hpp"
#include "kokkos_kernels/detail/column_teams.hpp"
#include "kokkos_kernels/detail/conv_lowered.hpp"
#include "kokkos_kernels/detail/cublaslt.hpp"
#include "kokkos_kernels/detail/gemm_device.hpp"
#include "kokkos_kernels/reduce.hpp"

namespace trireme {

using namespace detail;

template <class T>
struct ConvPlan<T>::Host {};

namespace {

bool lowers(const ConvGeometry& g) { return g.groups == 1 && has_cublaslt() && !portable_kernels_forced(); }

/// f(LoweredConv) for the type in which operands lie in memory.
template <class T, class F>
auto on_operands(const Execution& exec, const ConvGeometry& g, Operands operands, std::int64_t n, const F& f) {
  if constexpr (std::is_same_v<T, float>)
    if (operands == Operands::bf16) return f(LoweredConv<T, Bf16>(exec, g, operands, n));
  return f(LoweredConv<T, T>(exec, g, operands, n));
}

template <class T>
auto product_on(const Execution& exec) {
  return [&exec](const Gemm<T>& shape, const auto* a, const auto* b, T* c, const Scratch& scratch) { gemm_device(exec, shape, a, b, c, scratch); };
}

// y = act(y + bias)
template <class T>
void finish(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> bias, T slope, Span<T> y) {
  const bool has_bias = bias.data() != nullptr;
  if (!has_bias && slope == T{1}) return;
  for_matrix(exec, "trireme::conv::finish", rows, channels, KOKKOS_LAMBDA(std::int64_t i, std::int64_t c) {
    const T z = has_bias ? y(i) + bias(c) : y(i);
    y(i) = z < T{} ? slope * z : z;
  });
}

template <class T>
void direct_forward(const Execution& exec, const ConvGeometry& geometry, Operands operands, std::int64_t n, Span<const T> x, Span<const T> w, Span<T> y) {
  const ConvGeometry g = geometry;
  const int dropped = dropped_bits(operands);
  const std::int64_t icg = g.in_channels / g.groups, ocg = g.out_channels / g.groups, taps = g.taps();
  Kokkos::parallel_for("trireme::conv::forward", Range(exec, 0, n * g.out_pixels() * g.out_channels), KOKKOS_LAMBDA(std::int64_t i) {
    const std::int64_t m = i % g.out_channels;
    std::int64_t at = i / g.out_channels;
    const std::int64_t ow = at % g.out[2], oh = at / g.out[2] % g.out[1], od = at / (g.out[2] * g.out[1]) % g.out[0];
    const std::int64_t s = at / g.out_pixels();
    T sum{};
    for (std::int64_t t = 0; t < taps; ++t) {
      const std::int64_t kw = t % g.kernel[2], kh = t / g.kernel[2] % g.kernel[1], kd = t / (g.kernel[2] * g.kernel[1]);
      const std::int64_t d = od * g.stride[0] - g.padding[0] + kd * g.dilation[0], h = oh * g.stride[1] - g.padding[1] + kh * g.dilation[1],
                         v = ow * g.stride[2] - g.padding[2] + kw * g.dilation[2];
      if (d < 0 || d >= g.in[0] || h < 0 || h >= g.in[1] || v < 0 || v >= g.in[2]) continue;
      const std::int64_t from = (((s * g.in[0] + d) * g.in[1] + h) * g.in[2] + v) * g.in_channels + m / ocg * icg;
      for (std::int64_t c = 0; c < icg; ++c) sum += rounded(x(from + c), dropped) * rounded(w((m * icg + c) * taps + t), dropped);
    }
    y(i) = sum;
  });
}

template <class T>
void direct_backward_data(const Execution& exec, const ConvGeometry& geometry, Operands operands, std::int64_t n, Span<const T> dy, Span<const T> w,
                          Span<T> dx) {
  const ConvGeometry g = geometry;
  const int dropped = dropped_bits(operands);
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
      for (std::int64_t m = 0; m < ocg; ++m) sum += rounded(dy(from + m), dropped) * rounded(w(((group * ocg + m) * icg + c % icg) * taps + t), dropped);
    }
    dx(i) = sum;
  });
}

template <class T>
void direct_backward_weights(const Execution& exec, const ConvGeometry& geometry, Operands operands, std::int64_t n, Span<const T> x, Span<const T> dy,
                             Span<T> dw) {
  const ConvGeometry g = geometry;
  const int dropped = dropped_bits(operands);
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
              local += rounded(x((((s * g.in[0] + d) * g.in[1] + h) * g.in[2] + v) * g.in_channels + m / ocg * icg + c), dropped) *
                       rounded(dy(p * g.out_channels + m), dropped);
            },
            sum);
        Kokkos::single(Kokkos::PerTeam(team), [&] { dw(i) += sum; });
      });
}

}  // namespace

template <class T>
ConvPlan<T>::ConvPlan(const ConvGeometry& geometry, const ConvTail& tail, Operands operands)
    : geometry_(geometry), tail_(tail), operands_(std::is_same_v<T, float> ? operands : Operands::full) {
  if (tail.pools()) throw internal_error("a device's convolution cannot pool");
}

template <class T>
std::int64_t ConvPlan<T>::workspace(std::int64_t n) const {
  const ConvGeometry& g = geometry_;
  Scratch sums;
  sums.take<double>(channel_sums_workspace(n * g.out_pixels(), g.out_channels));
  if (!lowers(g)) return sums.elements<T>();
  return on_operands<T>(Execution(), g, operands_, n, [&](const auto& lowered) {
    const Lowering input = Lowering::of_input(g), gradient = Lowering::of_gradient(g);
    const auto with_product = [&](const Lowering& l, std::int64_t rows, std::int64_t columns) {
      Scratch scratch = lowered.taken(l);
      scratch.take<std::byte>(library_scratch(Gemm<T>{.m = rows, .n = columns}));
      return scratch.template elements<T>();
    };
    return std::max({sums.elements<T>(), with_product(input, lowered.chunk(input), g.out_channels), with_product(input, g.out_channels, input.width()),
                     with_product(gradient, lowered.chunk(gradient), g.in_channels)});
  });
}

template <class T>
void ConvPlan<T>::forward(const Execution& exec, std::int64_t n, Span<const T> x, Span<const T> w, Span<const T> bias, Span<T> y,
                          Span<std::uint8_t>, Span<T> workspace) const {
  if (lowers(geometry_))
    on_operands<T>(exec, geometry_, operands_, n, [&](const auto& lowered) {
      lowered.forward(x.data(), w.data(), y.data(), Scratch(workspace), product_on<T>(exec));
    });
  else
    direct_forward(exec, geometry_, operands_, n, x, w, y);
  finish(exec, n * geometry_.out_pixels(), geometry_.out_channels, bias, static_cast<T>(tail_.slope), y);
}

template <class T>
void ConvPlan<T>::backward_data(const Execution& exec, std::int64_t n, const ConvGradient<T>& gradient, Span<const T> w, Span<T> dx,
                                Span<T> workspace) const {
  if (lowers(geometry_))
    on_operands<T>(exec, geometry_, operands_, n, [&](const auto& lowered) {
      lowered.backward_data(gradient.dy.data(), w.data(), dx.data(), Scratch(workspace), product_on<T>(exec));
    });
  else
    direct_backward_data(exec, geometry_, operands_, n, gradient.dy, w, dx);
}

template <class T>
void ConvPlan<T>::backward_weights(const Execution& exec, std::int64_t n, Span<const T> x, const ConvGradient<T>& gradient, Span<T> dw, Span<T> dbias,
                                   Span<T> workspace) const {
  if (lowers(geometry_))
    on_operands<T>(exec, geometry_, operands_, n, [&](const auto& lowered) {
      lowered.backward_weights(x.data(), gradient.dy.data(), dw.data(), Scratch(workspace), product_on<T>(exec));
    });
  else
    direct_backward_weights(exec, geometry_, operands_, n, x, gradient.dy, dw);
  if (dbias.data() == nullptr) return;
  const std::int64_t rows = n * geometry_.out_pixels(), sums = channel_sums_workspace(rows, geometry_.out_channels);
  const Span<double> partial(Scratch(workspace).take<double>(sums), static_cast<std::size_t>(sums));
  add_channel_sums<T>(exec, rows, geometry_.out_channels, gradient.dy, partial, dbias);
}

template class ConvPlan<float>;
template class ConvPlan<double>;

}  // namespace trireme
