// Convolution on a device. Without groups: tiles that gather what they multiply, on tensor cores where operands are rounded; or matrix products of a library
// where a row is a pixel, and in double. With groups: one thread an element, which is right everywhere and fast nowhere.
#include <type_traits>

#include "base/error.hpp"
#include "kokkos_kernels/conv.hpp"
#include "kokkos_kernels/detail/column_teams.hpp"
#include "kokkos_kernels/detail/conv_gathered.hpp"
#include "kokkos_kernels/detail/conv_lowered.hpp"
#include "kokkos_kernels/detail/conv_tensor.hpp"
#include "kokkos_kernels/detail/cublaslt.hpp"
#include "kokkos_kernels/detail/gemm_device.hpp"
#include "kokkos_kernels/reduce.hpp"

namespace trireme {

using namespace detail;

template <class T>
struct ConvPlan<T>::Host {};

namespace {

enum class Algorithm { direct, gathered, lowered };

constexpr std::int64_t enough_teams = 200;  // more than a large device has multiprocessors

/// For results (rows, outputs). Where these are few, a library divides the sum among threads too.
template <class T>
Algorithm algorithm_of(const ConvGeometry& g, std::int64_t rows, std::int64_t outputs) {
  if (g.groups != 1) return Algorithm::direct;
  if (!has_cublaslt() || portable_kernels_forced()) return Algorithm::gathered;
  if ((rows + 127) / 128 * ((outputs + 15) / 16) < 2 * enough_teams) return Algorithm::lowered;
  const bool pixel_by_pixel = g.taps() == 1 && g.in == g.out && g.padding == std::array<std::int64_t, 3>{};
  return std::is_same_v<T, float> && !pixel_by_pixel ? Algorithm::gathered : Algorithm::lowered;
}

/// f(LoweredConv) for the type in which operands lie in memory.
template <class T, class F>
auto on_operands(const Execution& exec, const ConvGeometry& g, ComputeType operands, std::int64_t n, const F& f) {
  if constexpr (std::is_same_v<T, float>)
    if (operands == ComputeType::bf16) return f(LoweredConv<T, Bf16>(exec, g, operands, n));
  return f(LoweredConv<T, T>(exec, g, operands, n));
}

template <class T>
auto product_on(const Execution& exec) {
  return [&exec](const Gemm<T>& shape, const auto* a, const auto* b, T* c, const Scratch& scratch) { gemm_device(exec, shape, a, b, c, scratch); };
}

template <class Tile>
void run_tiles(const Execution& exec, const char* label, const Tile& given, std::int64_t teams) {
  using Bound = Kokkos::TeamPolicy<Execution, Kokkos::LaunchBounds<Tile::threads>, Light>;
  using T = std::remove_cvref_t<decltype(*given.x)>;
  constexpr std::size_t alignment = 32, bytes = Tile::shared_elements * sizeof(T);
  if (teams == 0) return;
  const Tile tile = given;
  const Bound policy = Bound(exec, static_cast<int>(teams), Tile::threads).set_scratch_size(0, Kokkos::PerTeam(static_cast<int>(bytes + alignment)));
  Kokkos::parallel_for(
      label, policy,
      KOKKOS_LAMBDA(const typename Bound::member_type& team) { tile.run(team, static_cast<T*>(team.team_shmem().get_shmem_aligned(bytes, alignment))); });
}

// Whether tensor cores take these operands, with sources in fours.
template <class T>
bool on_tensor_cores([[maybe_unused]] int dropped) {
#if defined(KOKKOS_ENABLE_CUDA)
  return std::is_same_v<T, float> && dropped > 0 && !portable_kernels_forced();
#else
  return false;
#endif
}

// f(whether sources come in fours, whether operands are rounded)
template <class T, class F>
void on_tile_kind(bool packs, int dropped, const F& f) {
  if (std::is_same_v<T, float> && dropped > 0)
    packs ? f(std::true_type(), std::is_same<T, float>()) : f(std::false_type(), std::is_same<T, float>());
  else
    packs ? f(std::true_type(), std::false_type()) : f(std::false_type(), std::false_type());
}

// Samples whose sources, of so many elements each, tiles can number.
std::int64_t samples_at_once(std::int64_t elements) {
  const std::int64_t samples = ((std::int64_t{1} << 31) - 1) / elements;
  if (samples == 0) throw internal_error("conv: a sample of {} elements", elements);
  return samples;
}

// results = act(rows times packed weights + bias); `weights` has room for all.
template <class T, int width>
void gathered_tiles(const Execution& exec, const char* label, const Lowering& l, std::int64_t rows, int outputs, int dropped, const T* x, const T* weights,
                    const T* bias, T slope, T* y) {
  const auto across = (outputs + width - 1) / width;
  const std::int64_t teams = (rows + 127) / 128 * across;
  const bool fours = in_fours(y, outputs);
#if defined(KOKKOS_ENABLE_CUDA)
  if constexpr (std::is_same_v<T, float>)
    if (on_tensor_cores<T>(dropped) && in_fours(x, l.channels))
      return run_tiles(exec, label, TensorProduct<width>{Gather(l), rows, outputs, across, dropped, fours, x, weights, bias, slope, y}, teams);
#endif
  const auto run = [&]<bool packs, bool rounds>(std::bool_constant<packs>, std::bool_constant<rounds>) {
    run_tiles(exec, label, GatheredProduct<T, width, packs, rounds>{Gather(l), rows, outputs, across, dropped, fours, x, weights, bias, slope, y}, teams);
  };
  on_tile_kind<T>(in_fours(x, l.channels), dropped, run);
}

template <class T>
void gathered_product(const Execution& exec, const char* label, const Lowering& l, std::int64_t rows, std::int64_t all_outputs, ComputeType operands,
                      const T* x, const T* weights, const T* bias, T slope, T* y) {
  const std::int64_t sources = l.from[0] * l.from[1] * l.from[2] * l.channels, most = samples_at_once(sources) * l.pixels();
  if (rows > most) {
    const std::int64_t rest = rows - most;
    gathered_product(exec, label, l, most, all_outputs, operands, x, weights, bias, slope, y);
    return gathered_product(exec, label, l, rest, all_outputs, operands, x + most / l.pixels() * sources, weights, bias, slope, y + most * all_outputs);
  }
  const int outputs = static_cast<int>(all_outputs), dropped = dropped_bits(operands);
  const auto fills = [&](int width) { return outputs > width / 2 && (rows + 127) / 128 * ((outputs + width - 1) / width) >= enough_teams; };
  if (fills(64))
    gathered_tiles<T, 64>(exec, label, l, rows, outputs, dropped, x, weights, bias, slope, y);
  else if (fills(32))
    gathered_tiles<T, 32>(exec, label, l, rows, outputs, dropped, x, weights, bias, slope, y);
  else
    gathered_tiles<T, 16>(exec, label, l, rows, outputs, dropped, x, weights, bias, slope, y);
}

/// How the sum over pixels of a weight gradient is divided.
struct WeightParts {
  int height;                              // outputs of a team
  std::int64_t down, across, parts, rows;  // teams a part; parts, and pixels of each

  WeightParts(const ConvGeometry& g, std::int64_t n) : height(g.out_channels > 32 ? 64 : g.out_channels > 16 ? 32 : 16) {
    const std::int64_t pixels = n * g.out_pixels();
    down = (g.out_channels + height - 1) / height;
    across = (g.in_channels * g.taps() + 63) / 64;
    constexpr std::int64_t enough_warps = 8 * enough_teams;
    const std::int64_t most = std::max<std::int64_t>(enough_warps / (height / 16 * down * across), 1);
    limit = std::max<std::int64_t>(std::min(most, (pixels + 63) / 64), 1);
    rows = std::max<std::int64_t>((pixels + limit - 1) / limit, 1);
    rows = (rows + 15) / 16 * 16;
    parts = (pixels + rows - 1) / rows;
  }
  std::int64_t limit;  // no fewer than the parts of as many or fewer samples
};

template <class T, int height>
void gathered_partials(const Execution& exec, const ConvGeometry& g, const WeightParts& p, std::int64_t n, int dropped, const T* x, const T* dy, T* partial) {
  const Lowering l = Lowering::of_input(g);
  const auto outputs = static_cast<int>(g.out_channels), down = static_cast<int>(p.down), across = static_cast<int>(p.across);
  const std::int64_t rows = n * g.out_pixels(), teams = p.parts * p.down * p.across;
  const bool fours = in_fours(dy, outputs);
  const char* const label = "trireme::conv::gathered_weights";
#if defined(KOKKOS_ENABLE_CUDA)
  if constexpr (std::is_same_v<T, float>)
    if (on_tensor_cores<T>(dropped) && in_fours(x, g.in_channels))
      return run_tiles(exec, label, TensorWeights<height>{Gather(l), rows, p.rows, outputs, down, across, dropped, fours, x, dy, partial}, teams);
#endif
  const auto run = [&]<bool packs, bool rounds>(std::bool_constant<packs>, std::bool_constant<rounds>) {
    run_tiles(exec, label, GatheredWeights<T, height, packs, rounds>{Gather(l), rows, p.rows, outputs, down, across, dropped, fours, x, dy, partial}, teams);
  };
  on_tile_kind<T>(in_fours(x, g.in_channels), dropped, run);
}

// dw (outputs, channels, taps) += the sum of partial (part, outputs, taps channels).
template <class T>
void add_partials(const Execution& exec, const ConvGeometry& g, std::int64_t parts, const T* partial, Span<T> dw) {
  const std::int64_t taps = g.taps(), channels = g.in_channels, weights = g.weights();
  const auto take = KOKKOS_LAMBDA(std::int64_t, std::int64_t i, std::int64_t first, std::int64_t step, std::int64_t last, double(&sums)[1]) {
    double sum = 0;
    for (std::int64_t part = first; part < last; part += step) sum += static_cast<double>(partial[part * weights + i]);
    sums[0] = sum;
  };
  const auto give = KOKKOS_LAMBDA(std::int64_t, std::int64_t, std::int64_t i, const double(&sums)[1]) {
    const std::int64_t column = i % (taps * channels);
    dw((i / (taps * channels) * channels + column % channels) * taps + column / channels) += static_cast<T>(sums[0]);
  };
  for_column_sums<1>(exec, "trireme::conv::add_partials", ColumnTeams::whole(parts, weights), 1, take, give);
}

template <class T>
void gathered_weights(const Execution& exec, const ConvGeometry& g, std::int64_t n, ComputeType operands, const T* x, const T* dy, Span<T> dw,
                      Scratch scratch) {
  const std::int64_t sources = g.in_pixels() * g.in_channels, most = samples_at_once(sources);
  if (n > most) {
    gathered_weights(exec, g, most, operands, x, dy, dw, scratch);
    return gathered_weights(exec, g, n - most, operands, x + most * sources, dy + most * g.out_pixels() * g.out_channels, dw, scratch);
  }
  const WeightParts p(g, n);
  if (p.parts == 0) return;
  T* const partial = scratch.take<T>(p.parts * g.weights());
  const int dropped = dropped_bits(operands);
  if (p.height == 64)
    gathered_partials<T, 64>(exec, g, p, n, dropped, x, dy, partial);
  else if (p.height == 32)
    gathered_partials<T, 32>(exec, g, p, n, dropped, x, dy, partial);
  else
    gathered_partials<T, 16>(exec, g, p, n, dropped, x, dy, partial);
  add_partials(exec, g, p.parts, partial, dw);
}

// y = act(y + bias)
template <class T>
void finish(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> bias, T slope, Span<T> y) {
  const bool has_bias = bias.data() != nullptr;
  if (!has_bias && slope == T{1}) return;
  for_matrix(
      exec, "trireme::conv::finish", rows, channels, KOKKOS_LAMBDA(std::int64_t i, std::int64_t c) {
        const T z = has_bias ? y(i) + bias(c) : y(i);
        y(i) = z < T{} ? slope * z : z;
      });
}

template <class T>
void direct_forward(const Execution& exec, const ConvGeometry& geometry, ComputeType operands, std::int64_t n, Span<const T> x, Span<const T> w, Span<T> y) {
  const ConvGeometry g = geometry;
  const int dropped = dropped_bits(operands);
  const std::int64_t icg = g.in_channels / g.groups, ocg = g.out_channels / g.groups, taps = g.taps();
  Kokkos::parallel_for(
      "trireme::conv::forward", Range(exec, 0, n * g.out_pixels() * g.out_channels), KOKKOS_LAMBDA(std::int64_t i) {
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
void direct_backward_data(const Execution& exec, const ConvGeometry& geometry, ComputeType operands, std::int64_t n, Span<const T> dy, Span<const T> w,
                          Span<T> dx) {
  const ConvGeometry g = geometry;
  const int dropped = dropped_bits(operands);
  const std::int64_t icg = g.in_channels / g.groups, ocg = g.out_channels / g.groups, taps = g.taps();
  Kokkos::parallel_for(
      "trireme::conv::backward_data", Range(exec, 0, n * g.in_pixels() * g.in_channels), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t c = i % g.in_channels, group = c / icg;
        std::int64_t at = i / g.in_channels;
        const std::int64_t v = at % g.in[2], h = at / g.in[2] % g.in[1], d = at / (g.in[2] * g.in[1]) % g.in[0];
        const std::int64_t s = at / g.in_pixels();
        T sum{};
        for (std::int64_t t = 0; t < taps; ++t) {
          const std::int64_t kw = t % g.kernel[2], kh = t / g.kernel[2] % g.kernel[1], kd = t / (g.kernel[2] * g.kernel[1]);
          const std::int64_t rd = d + g.padding[0] - kd * g.dilation[0], rh = h + g.padding[1] - kh * g.dilation[1], rw = v + g.padding[2] - kw * g.dilation[2];
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
void direct_backward_weights(const Execution& exec, const ConvGeometry& geometry, ComputeType operands, std::int64_t n, Span<const T> x, Span<const T> dy,
                             Span<T> dw) {
  const ConvGeometry g = geometry;
  const int dropped = dropped_bits(operands);
  const std::int64_t icg = g.in_channels / g.groups, ocg = g.out_channels / g.groups, taps = g.taps(), pixels = n * g.out_pixels();
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
ConvPlan<T>::ConvPlan(const ConvGeometry& geometry, const Epilogue& tail, ComputeType operands)
    : geometry_(geometry), tail_(tail), operands_(std::is_same_v<T, float> ? operands : ComputeType::full) {
  if (tail.pools()) throw internal_error("a device's convolution cannot pool");
}

template <class T>
std::int64_t ConvPlan<T>::workspace(std::int64_t n) const {
  const ConvGeometry& g = geometry_;
  Scratch sums;
  sums.take<double>(channel_sums_workspace(n * g.out_pixels(), g.out_channels));
  if (g.groups != 1) return sums.elements<T>();
  Scratch packed, partial;
  packed.take<T>(g.weights());
  partial.take<T>(WeightParts(g, n).limit * g.weights());
  const std::int64_t gathered = std::max({sums.elements<T>(), packed.elements<T>(), partial.elements<T>()});
  if (!has_cublaslt() || portable_kernels_forced()) return gathered;
  return on_operands<T>(Execution(), g, operands_, n, [&](const auto& lowered) {
    const Lowering input = Lowering::of_input(g), gradient = Lowering::of_gradient(g);
    const auto with_product = [&](const Lowering& l, std::int64_t rows, std::int64_t columns) {
      Scratch scratch = lowered.taken(l);
      scratch.take<std::byte>(library_scratch(Gemm<T>{.m = rows, .n = columns}));
      return scratch.template elements<T>();
    };
    return std::max({gathered, with_product(input, lowered.chunk(input), g.out_channels), with_product(input, g.out_channels, input.width()),
                     with_product(gradient, lowered.chunk(gradient), g.in_channels)});
  });
}

template <class T>
void ConvPlan<T>::forward(const Execution& exec, std::int64_t n, Span<const T> x, Span<const T> w, Span<const T> bias, Span<T> y, Span<std::uint8_t>,
                          Span<T> workspace) const {
  const ConvGeometry& g = geometry_;
  const Algorithm algorithm = algorithm_of<T>(g, n * g.out_pixels(), g.out_channels);
  if (algorithm == Algorithm::gathered) {
    T* const weights = Scratch(workspace).take<T>(g.weights());
    pack_weights(exec, g, w.data(), {.output = 1, .tap = g.in_channels * g.out_channels, .input = g.out_channels}, weights);
    gathered_product<T>(exec, "trireme::conv::gathered_forward", Lowering::of_input(g), n * g.out_pixels(), g.out_channels, operands_, x.data(), weights,
                        bias.data(), static_cast<T>(tail_.slope), y.data());
    return;
  }
  if (algorithm == Algorithm::lowered)
    on_operands<T>(exec, geometry_, operands_, n,
                   [&](const auto& lowered) { lowered.forward(x.data(), w.data(), y.data(), Scratch(workspace), product_on<T>(exec)); });
  else
    direct_forward(exec, geometry_, operands_, n, x, w, y);
  finish(exec, n * geometry_.out_pixels(), geometry_.out_channels, bias, static_cast<T>(tail_.slope), y);
}

template <class T>
void ConvPlan<T>::backward_data(const Execution& exec, std::int64_t n, const ConvGradient<T>& gradient, Span<const T> w, Span<T> dx, Span<T> workspace) const {
  const ConvGeometry& g = geometry_;
  const Algorithm algorithm = algorithm_of<T>(g, n * g.in_pixels(), g.in_channels);
  if (algorithm == Algorithm::gathered) {
    T* const weights = Scratch(workspace).take<T>(g.weights());
    pack_weights(exec, g, w.data(), {.output = g.in_channels, .tap = g.out_channels * g.in_channels, .input = 1}, weights);
    gathered_product<T>(exec, "trireme::conv::gathered_backward_data", Lowering::of_gradient(g), n * g.in_pixels(), g.in_channels, operands_,
                        gradient.dy.data(), weights, nullptr, T{1}, dx.data());
  } else if (algorithm == Algorithm::lowered)
    on_operands<T>(exec, geometry_, operands_, n,
                   [&](const auto& lowered) { lowered.backward_data(gradient.dy.data(), w.data(), dx.data(), Scratch(workspace), product_on<T>(exec)); });
  else
    direct_backward_data(exec, geometry_, operands_, n, gradient.dy, w, dx);
}

template <class T>
void ConvPlan<T>::backward_weights(const Execution& exec, std::int64_t n, Span<const T> x, const ConvGradient<T>& gradient, Span<T> dw, Span<T> dbias,
                                   Span<T> workspace) const {
  constexpr std::int64_t many = std::int64_t{1} << 20;  // this sum is divided in any case
  const Algorithm algorithm = algorithm_of<T>(geometry_, many, many);
  if (algorithm == Algorithm::gathered)
    gathered_weights<T>(exec, geometry_, n, operands_, x.data(), gradient.dy.data(), dw, Scratch(workspace));
  else if (algorithm == Algorithm::lowered)
    on_operands<T>(exec, geometry_, operands_, n,
                   [&](const auto& lowered) { lowered.backward_weights(x.data(), gradient.dy.data(), dw.data(), Scratch(workspace), product_on<T>(exec)); });
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
