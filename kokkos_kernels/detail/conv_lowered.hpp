// Convolution as matrix products: what the products of a row of pixels take is gathered into the rows of a matrix (im2col; Chellapilla et al. 2006),
// for as many pixels at a time as stay in a device's cache. Without groups.
//
//   y  (pixels, OC)    = rows of x (pixels, taps IC)  times  w (OC, taps IC) transposed
//   dx (pixels, IC)    = rows of dy (pixels, taps OC)  times  w (taps OC, IC)
//   dw (OC, taps IC)  += dy (pixels, OC) transposed  times  rows of x (pixels, taps IC)
//
// `Product` is the matrix product: product(Gemm<T>, const Operand*, const Operand*, T*, Scratch), on operands of type T, or
// Bf16 where T is float.
#pragma once

#include <algorithm>

#include "base/error.hpp"
#include "kokkos_kernels/conv.hpp"
#include "kokkos_kernels/detail/operands.hpp"
#include "kokkos_kernels/detail/scratch.hpp"
#include "kokkos_kernels/gemm.hpp"

namespace trireme::detail {

/// Where the rows of the matrix get their numbers from. Forward: pixels of the output from those of x; else pixels of x from those of dy.
struct Lowering {
  bool forward;
  std::int64_t channels, taps;
  std::array<std::int64_t, 3> from, to, kernel, stride, padding, dilation;

  static Lowering of_input(const ConvGeometry& g) { return {true, g.in_channels, g.taps(), g.in, g.out, g.kernel, g.stride, g.padding, g.dilation}; }
  static Lowering of_gradient(const ConvGeometry& g) { return {false, g.out_channels, g.taps(), g.out, g.in, g.kernel, g.stride, g.padding, g.dilation}; }

  std::int64_t width() const { return taps * channels; }
  std::int64_t pixels() const { return to[0] * to[1] * to[2]; }

  /// Place along axis a that destination `place` takes with tap `tap`; -1: none.
  KOKKOS_FUNCTION std::int64_t source(int a, std::int64_t place, std::int64_t tap) const {
    std::int64_t at = forward ? place * stride[a] - padding[a] + tap * dilation[a] : place + padding[a] - tap * dilation[a];
    if (!forward) {
      const auto step = static_cast<std::uint32_t>(stride[a]), here = static_cast<std::uint32_t>(at);
      if (at < 0 || here % step != 0) return -1;
      at = here / step;
    }
    return at >= 0 && at < from[a] ? at : -1;
  }
};

template <class T, int lanes>
struct alignas(sizeof(T) * lanes) Pack {
  T lane[lanes];
};

/// rows(row, tap, channel) for destination pixels [first, first + count) of all samples together; `lanes` channels a thread.
template <int lanes, class T, class Operand>
void lower_rows(const Execution& exec, const Lowering& l, std::int64_t first, std::int64_t count, const T* x, Operand* rows) {
  const auto packs = static_cast<std::uint32_t>(l.channels / lanes), row_packs = static_cast<std::uint32_t>(l.taps) * packs;
  const std::int64_t pixels = l.pixels(), first_sample = first / pixels, first_pixel = first % pixels;
  const auto* const in = reinterpret_cast<const Pack<T, lanes>*>(x);
  auto* const out = reinterpret_cast<Pack<Operand, lanes>*>(rows);
  const Lowering lowering = l;
  if (count * row_packs >= std::int64_t{1} << 32 || first_pixel + count >= std::int64_t{1} << 32)
    throw internal_error("conv: {} rows of {} at once", count, l.width());
  const auto of_sample = static_cast<std::uint32_t>(pixels), skipped = static_cast<std::uint32_t>(first_pixel);
  Kokkos::parallel_for(
      "trireme::conv::lower", Range(exec, 0, count * row_packs), KOKKOS_LAMBDA(std::int64_t i) {
        const auto at = static_cast<std::uint32_t>(i);  // a device divides 32 bits several times as fast as 64
        const std::uint32_t k = at % row_packs, pack = k % packs, tap = k / packs, pixel = skipped + at / row_packs, place = pixel % of_sample;
        const std::int64_t sample = first_sample + pixel / of_sample;
        const auto kw = static_cast<std::uint32_t>(lowering.kernel[2]), kh = static_cast<std::uint32_t>(lowering.kernel[1]);
        const auto tw = static_cast<std::uint32_t>(lowering.to[2]), th = static_cast<std::uint32_t>(lowering.to[1]);
        const std::int64_t d = lowering.source(0, place / tw / th, tap / kw / kh), h = lowering.source(1, place / tw % th, tap / kw % kh),
                           w = lowering.source(2, place % tw, tap % kw);
        Pack<Operand, lanes> taken{};
        if (d >= 0 && h >= 0 && w >= 0) {
          const Pack<T, lanes> given = in[(((sample * lowering.from[0] + d) * lowering.from[1] + h) * lowering.from[2] + w) * packs + pack];
          for (int lane = 0; lane < lanes; ++lane) taken.lane[lane] = Stored<Operand>::from(given.lane[lane]);
        }
        out[i] = taken;
      });
}

template <class T, class Operand>
void lower(const Execution& exec, const Lowering& l, std::int64_t first, std::int64_t count, const T* x, Operand* rows) {
  constexpr int lanes = 16 / sizeof(T);
  if (l.channels % lanes == 0 && reinterpret_cast<std::uintptr_t>(x) % 16 == 0)
    lower_rows<lanes>(exec, l, first, count, x, rows);
  else
    lower_rows<1>(exec, l, first, count, x, rows);
}

/// Places in packed weights: one step of the output channel, the tap, the input channel.
struct WeightStrides {
  std::int64_t output, tap, input;
};

template <class T, class Operand>
void pack_weights(const Execution& exec, const ConvGeometry& g, const T* w, const WeightStrides& strides, Operand* packed) {
  const std::int64_t taps = g.taps(), inputs = g.in_channels;
  const WeightStrides s = strides;
  Kokkos::parallel_for(
      "trireme::conv::pack_weights", Range(exec, 0, g.weights()),
      KOKKOS_LAMBDA(std::int64_t i) { packed[i / (inputs * taps) * s.output + i % taps * s.tap + i / taps % inputs * s.input] = Stored<Operand>::from(w[i]); });
}

/// w += what lies packed.
template <class T>
void add_packed_weights(const Execution& exec, const ConvGeometry& g, const T* packed, const WeightStrides& strides, T* w) {
  const std::int64_t taps = g.taps(), inputs = g.in_channels;
  const WeightStrides s = strides;
  Kokkos::parallel_for(
      "trireme::conv::add_packed_weights", Range(exec, 0, g.weights()),
      KOKKOS_LAMBDA(std::int64_t i) { w[i] += packed[i / (inputs * taps) * s.output + i % taps * s.tap + i / taps % inputs * s.input]; });
}

template <class T, class Operand>
class LoweredConv {
 public:
  /// `most`: elements that are gathered at a time, so that they are multiplied while they are in the cache.
  LoweredConv(const Execution& exec, const ConvGeometry& g, ComputeType operands, std::int64_t n, std::int64_t most = std::int64_t{1} << 23)
      : exec_(exec), g_(g), operands_(operands), n_(n), most_(most) {}

  template <class Product>
  void forward(const T* x, const T* w, T* y, Scratch scratch, const Product& product) const {
    const Lowering l = Lowering::of_input(g_);
    Operand* const weights = scratch.take<Operand>(g_.weights());
    pack_weights(exec_, g_, w, {.output = l.width(), .tap = g_.in_channels, .input = 1}, weights);
    Operand* const rows = scratch.take<Operand>(chunk(l) * l.width());
    for_chunks(l, [&](std::int64_t first, std::int64_t count) {
      product({Transpose::no, Transpose::yes, count, g_.out_channels, l.width(), false, operands_}, lowered(l, first, count, x, rows), weights,
              y + first * g_.out_channels, scratch);
    });
  }

  template <class Product>
  void backward_data(const T* dy, const T* w, T* dx, Scratch scratch, const Product& product) const {
    const Lowering l = Lowering::of_gradient(g_);
    Operand* const weights = scratch.take<Operand>(g_.weights());
    pack_weights(exec_, g_, w, {.output = g_.in_channels, .tap = g_.out_channels * g_.in_channels, .input = 1}, weights);
    Operand* const rows = scratch.take<Operand>(chunk(l) * l.width());
    for_chunks(l, [&](std::int64_t first, std::int64_t count) {
      product({Transpose::no, Transpose::no, count, g_.in_channels, l.width(), false, operands_}, lowered(l, first, count, dy, rows), weights,
              dx + first * g_.in_channels, scratch);
    });
  }

  template <class Product>
  void backward_weights(const T* x, const T* dy, T* dw, Scratch scratch, const Product& product) const {
    const Lowering l = Lowering::of_input(g_);
    T* const sums = scratch.take<T>(g_.weights());
    Operand* const rows = scratch.take<Operand>(chunk(l) * l.width());
    Operand* const gradient = scratch.take<Operand>(stores ? chunk(l) * g_.out_channels : 0);
    for_chunks(l, [&](std::int64_t first, std::int64_t count) {
      const Operand* const given = stored(count * g_.out_channels, dy + first * g_.out_channels, gradient);
      product({Transpose::yes, Transpose::no, g_.out_channels, l.width(), count, first > 0, operands_}, given, lowered(l, first, count, x, rows), sums,
              scratch);
    });
    if (n_ > 0) add_packed_weights(exec_, g_, sums, {.output = l.width(), .tap = g_.in_channels, .input = 1}, dw);
  }

  /// What a pass takes of its scratch, but for its products.
  Scratch taken(const Lowering& l) const {
    Scratch scratch;
    scratch.take<T>(g_.weights());
    scratch.take<Operand>(chunk(l) * l.width());
    if (stores) scratch.take<Operand>(chunk(l) * g_.out_channels);
    return scratch;
  }
  /// The most pixels at a time.
  std::int64_t chunk(const Lowering& l) const { return std::clamp<std::int64_t>(most_ / l.width(), 1, std::max<std::int64_t>(n_ * l.pixels(), 1)); }

 private:
  static constexpr bool stores = !std::is_same_v<T, Operand>;

  template <class F>
  void for_chunks(const Lowering& l, const F& f) const {
    const std::int64_t all = n_ * l.pixels(), step = chunk(l);
    for (std::int64_t first = 0; first < all; first += step) f(first, std::min(step, all - first));
  }

  /// Rows of the matrix; where a row is a pixel, they are there already.
  const Operand* lowered(const Lowering& l, std::int64_t first, std::int64_t count, const T* x, Operand* rows) const {
    if constexpr (!stores)
      if (l.taps == 1 && l.from == l.to && l.padding == std::array<std::int64_t, 3>{} && l.stride == std::array<std::int64_t, 3>{1, 1, 1})
        return x + first * l.channels;
    lower(exec_, l, first, count, x, rows);
    return rows;
  }

  const Operand* stored(std::int64_t count, const T* from, [[maybe_unused]] Operand* to) const {
    if constexpr (!stores) {
      return from;
    } else {
      store_operands(exec_, count, from, to);
      return to;
    }
  }

  Execution exec_;
  ConvGeometry g_;
  ComputeType operands_;
  std::int64_t n_, most_;
};

}  // namespace trireme::detail
