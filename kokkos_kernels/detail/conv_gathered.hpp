// Convolution on a device as a matrix product whose first factor is never in memory: a team gathers what its tile of results takes, eight numbers of the
// sum at a time, into memory that its threads share (Chetlur et al. 2014), while the eight before are multiplied. Without groups.
//
//   results (pixels, outputs) = rows (pixels, taps channels) times weights (taps channels, outputs)      rows: conv_lowered.hpp; y from x, or dx from dy
//   dw (outputs, taps channels) += dy (pixels, outputs) transposed times rows (pixels, taps channels)
//
// `Member` is a team's member: its rank, the team's, a barrier; so that a test can run the tiles on threads of the host.
#pragma once

#include "kokkos_kernels/detail/conv_lowered.hpp"

// Arrays of a thread are registers only where the compiler knows every index.
#if defined(__CUDACC__)
#define TRIREME_UNROLL _Pragma("unroll")
#else
#define TRIREME_UNROLL
#endif

namespace trireme::detail {

/// A Lowering in numbers of 32 bits, which a device is quick with: of samples whose sources together have fewer than 2^31 elements.
struct Gather {
  bool forward, divides;  // divides: only some destinations take a source with a tap
  int channels, taps, from[3], to[3], kernel[3], stride[3], padding[3], dilation[3];
  std::int64_t pixels;

  explicit Gather(const Lowering& l)
      : forward(l.forward), divides(false), channels(static_cast<int>(l.channels)), taps(static_cast<int>(l.taps)), pixels(l.pixels()) {
    for (std::size_t a = 0; a < 3; ++a) {
      from[a] = static_cast<int>(l.from[a]), to[a] = static_cast<int>(l.to[a]), kernel[a] = static_cast<int>(l.kernel[a]);
      stride[a] = static_cast<int>(l.stride[a]), padding[a] = static_cast<int>(l.padding[a]), dilation[a] = static_cast<int>(l.dilation[a]);
      divides = divides || (!forward && stride[a] > 1);
    }
  }
  KOKKOS_FUNCTION int width() const { return taps * channels; }
  KOKKOS_FUNCTION int line(int d, int h, int w) const { return (d * from[1] + h) * from[2] + w; }

  /// A destination: the source that it takes with the first tap, be it there or not.
  struct Spot {
    int sample = 0, origin = 0;  // elements: of its sample's sources, of that source
    int at[3] = {};
    bool there = false;
  };
  KOKKOS_FUNCTION void put(Spot& s, int d, int h, int w) const {
    const int place[3] = {d, h, w};
    TRIREME_UNROLL
    for (int a = 0; a < 3; ++a) s.at[a] = forward ? place[a] * stride[a] - padding[a] : place[a] + padding[a];
    s.origin = s.sample + line(s.at[0], s.at[1], s.at[2]) * channels;
  }
  KOKKOS_FUNCTION Spot spot(std::int64_t row, std::int64_t rows) const {
    Spot s;
    s.there = row < rows;
    if (!s.there) return s;
    const auto place = static_cast<std::uint32_t>(row % pixels), tw = static_cast<std::uint32_t>(to[2]), th = static_cast<std::uint32_t>(to[1]);
    s.sample = static_cast<int>(row / pixels) * from[0] * from[1] * from[2] * channels;
    put(s, static_cast<int>(place / tw / th), static_cast<int>(place / tw % th), static_cast<int>(place % tw));
    return s;
  }

  /// A tap, and a channel of the source.
  struct Tap {
    int channel = 0, k[3] = {}, move[3] = {}, shift = 0;  // from a spot's source, in pixels and in elements
    bool there = false;
  };
  KOKKOS_FUNCTION void settle(Tap& t) const {
    t.there = t.k[0] < kernel[0];
    TRIREME_UNROLL
    for (int a = 0; a < 3; ++a) t.move[a] = forward ? t.k[a] * dilation[a] : -t.k[a] * dilation[a];
    t.shift = line(t.move[0], t.move[1], t.move[2]) * channels + t.channel;
  }
  KOKKOS_FUNCTION Tap tap(int column) const {
    Tap t;
    if (column >= width()) return t;
    const auto c = static_cast<std::uint32_t>(column), of = static_cast<std::uint32_t>(channels), number = c / of;
    const auto kw = static_cast<std::uint32_t>(kernel[2]), kh = static_cast<std::uint32_t>(kernel[1]);
    t.channel = static_cast<int>(c % of);
    t.k[0] = static_cast<int>(number / kw / kh), t.k[1] = static_cast<int>(number / kw % kh), t.k[2] = static_cast<int>(number % kw);
    settle(t);
    return t;
  }
  /// So many columns on; `by` is at most what the channels can be walked through in a few turns.
  KOKKOS_FUNCTION void advance(Tap& t, int by) const {
    for (t.channel += by; t.channel >= channels; t.channel -= channels)
      if (++t.k[2] == kernel[2]) {
        t.k[2] = 0;
        if (++t.k[1] == kernel[1]) t.k[1] = 0, ++t.k[0];
      }
    settle(t);
  }

  /// The element of the source that a spot takes with a tap; -1: none.
  KOKKOS_FUNCTION int element(const Spot& s, const Tap& t) const {
    const auto lies = [&](int a, int at) { return static_cast<std::uint32_t>(at) < static_cast<std::uint32_t>(from[a]); };
    if (!s.there || !t.there) return -1;
    if (!divides) return lies(0, s.at[0] + t.move[0]) && lies(1, s.at[1] + t.move[1]) && lies(2, s.at[2] + t.move[2]) ? s.origin + t.shift : -1;
    int at[3];
    TRIREME_UNROLL
    for (int a = 0; a < 3; ++a) {
      const int here = s.at[a] + t.move[a];
      if (here < 0 || here % stride[a] != 0 || !lies(a, here / stride[a])) return -1;
      at[a] = here / stride[a];
    }
    return s.sample + line(at[0], at[1], at[2]) * channels + t.channel;
  }
};

template <class T>
using Four = Pack<T, 4>;

template <class T>
bool in_fours(const T* memory, std::int64_t channels) {
  return channels % 4 == 0 && reinterpret_cast<std::uintptr_t>(memory) % sizeof(Four<T>) == 0;
}

template <bool rounds, class T>
KOKKOS_INLINE_FUNCTION T operand(T value, int dropped) {
  return rounds ? rounded(value, dropped) : value;
}

/// sum(i, j) += over `deep` columns of a tile in shared memory, a(k, i) b(k, j): eight lines of `a`, four in each of its halves, by four of `b`.
template <int deep, int lines_a, int lines_b, class T>
KOKKOS_FORCEINLINE_FUNCTION void add_products(const T* a, const T* b, T (&sum)[8][4]) {
  TRIREME_UNROLL
  for (int k = 0; k < deep; ++k) {
    const Four<T> upper = *reinterpret_cast<const Four<T>*>(a + k * lines_a), lower = *reinterpret_cast<const Four<T>*>(a + k * lines_a + lines_a / 2),
                  factor = *reinterpret_cast<const Four<T>*>(b + k * lines_b);
    TRIREME_UNROLL
    for (int i = 0; i < 4; ++i) TRIREME_UNROLL
    for (int j = 0; j < 4; ++j) {
      sum[i][j] += upper.lane[i] * factor.lane[j];
      sum[i + 4][j] += lower.lane[i] * factor.lane[j];
    }
  }
}

/// y(pixel, output) = act(sum over columns of the gathered row times weights(column, output) + bias): 128 pixels times `width` outputs a team, 8 x 4 a thread.
/// `packs`: four neighboring columns are four channels of one tap, and lie aligned. `rounds`: operands lose their last `dropped` bits.
template <class T, int width, bool packs, bool rounds>
struct GatheredProduct {
  static constexpr int pixels = 128, deep = 8, threads = pixels / 8 * (width / 4), shared_elements = 2 * deep * (pixels + width);

  Gather gather;
  std::int64_t rows;
  int outputs, across, dropped;
  bool stores_fours;
  const T *x, *weights, *bias;
  T slope;
  T* y;

  template <class Member>
  KOKKOS_FUNCTION void run(const Member& team, T* shared) const {
    constexpr int loads = packs ? pixels * deep / 4 / threads : pixels * deep / threads, spots = threads < pixels ? pixels / threads : 1;
    constexpr int quads = loads >= 2 ? 2 : 1;  // of the eight columns, that this thread gathers from
    const int thread = team.team_rank();
    const std::int64_t tile = team.league_rank(), first = tile / across * pixels;
    const int first_output = static_cast<int>(tile % across) * width;
    T *const a = shared, *const b = shared + 2 * deep * pixels;

    Gather::Spot spot[spots];
    TRIREME_UNROLL
    for (int s = 0; s < spots; ++s) spot[s] = gather.spot(first + (thread + s * threads) % pixels, rows);
    Gather::Tap tap[quads];
    if constexpr (packs) TRIREME_UNROLL
    for (int q = 0; q < quads; ++q) tap[q] = gather.tap((thread + q * (loads / quads) * threads) / pixels * 4);
    const int columns = gather.width(), weight_row = thread / (width / 4), weight_column = first_output + thread % (width / 4) * 4;

    Four<T> taken[packs ? loads : 1], weight{};
    T single[packs ? 1 : loads];
    const auto fetch = [&](int column) {
      if constexpr (packs) {
        TRIREME_UNROLL
        for (int r = 0; r < loads; ++r) {
          const int at = gather.element(spot[r % spots], tap[r * quads / loads]);
          taken[r] = at < 0 ? Four<T>{} : *reinterpret_cast<const Four<T>*>(x + at);
        }
        TRIREME_UNROLL
        for (int q = 0; q < quads; ++q) gather.advance(tap[q], deep);
      } else {
        TRIREME_UNROLL
        for (int r = 0; r < loads; ++r) {
          const int at = gather.element(spot[r % spots], gather.tap(column + (thread + r * threads) / pixels));
          single[r] = at < 0 ? T{} : x[at];
        }
      }
      if (weight_row >= deep) return;
      const T* const from = weights + static_cast<std::int64_t>(column + weight_row) * outputs + weight_column;
      const bool there = column + weight_row < columns;
      TRIREME_UNROLL
      for (int j = 0; j < 4; ++j) weight.lane[j] = there && weight_column + j < outputs ? from[j] : T{};
    };
    const auto store = [&](int half) {
      T *const to_a = a + half * deep * pixels, *const to_b = b + half * deep * width;
      if constexpr (packs) {
        TRIREME_UNROLL
        for (int r = 0; r < loads; ++r) {
          const int at = thread + r * threads, pixel = at % pixels, column = at / pixels * 4;
          TRIREME_UNROLL
          for (int j = 0; j < 4; ++j) to_a[(column + j) * pixels + pixel] = operand<rounds>(taken[r].lane[j], dropped);
        }
      } else {
        TRIREME_UNROLL
        for (int r = 0; r < loads; ++r) to_a[thread + r * threads] = operand<rounds>(single[r], dropped);
      }
      if (weight_row >= deep) return;
      TRIREME_UNROLL
      for (int j = 0; j < 4; ++j) to_b[weight_row * width + thread % (width / 4) * 4 + j] = operand<rounds>(weight.lane[j], dropped);
    };

    const int left = thread % (width / 4) * 4, top = thread / (width / 4) * 4;
    T sum[8][4] = {};
    fetch(0);
    store(0);
    team.team_barrier();
    int half = 0;
    for (int column = 0; column < columns; column += deep, half = 1 - half) {
      const bool more = column + deep < columns;
      if (more) fetch(column + deep);
      const T *const from_a = a + half * deep * pixels + top, *const from_b = b + half * deep * width + left;
      add_products<deep, pixels, width>(from_a, from_b, sum);
      if (more) store(1 - half);
      team.team_barrier();
    }

    Four<T> added{};
    TRIREME_UNROLL
    for (int j = 0; j < 4; ++j)
      if (bias != nullptr && first_output + left + j < outputs) added.lane[j] = bias[first_output + left + j];
    TRIREME_UNROLL
    for (int i = 0; i < 8; ++i) {
      const std::int64_t row = first + (i < 4 ? 0 : pixels / 2 - 4) + top + i;
      if (row >= rows) continue;
      Four<T> z;
      TRIREME_UNROLL
      for (int j = 0; j < 4; ++j) {
        const T v = sum[i][j] + added.lane[j];
        z.lane[j] = v < T{} ? slope * v : v;
      }
      T* const to = y + row * outputs + first_output + left;
      if (stores_fours) {
        if (first_output + left < outputs) *reinterpret_cast<Four<T>*>(to) = z;
      } else {
        TRIREME_UNROLL
        for (int j = 0; j < 4; ++j)
          if (first_output + left + j < outputs) to[j] = z.lane[j];
      }
    }
  }
};

/// partial(part, output, column) = sum over a part of the pixels of dy(pixel, output) times the gathered row: `height` outputs times 64 columns a team.
template <class T, int height, bool packs, bool rounds>
struct GatheredWeights {
  static constexpr int width = 64, deep = 8, threads = height / 8 * (width / 4), shared_elements = 2 * deep * (height + width);

  Gather gather;
  std::int64_t rows, part_rows;  // part_rows: a multiple of `deep`
  int outputs, down, across, dropped;
  bool dy_in_fours;
  const T *x, *dy;
  T* partial;

  template <class Member>
  KOKKOS_FUNCTION void run(const Member& team, T* shared) const {
    constexpr int loads = deep * width / 4 / threads;
    const int thread = team.team_rank();
    const std::int64_t tile = team.league_rank(), part = tile / (down * across);
    const int first_output = static_cast<int>(tile / across % down) * height, first_column = static_cast<int>(tile % across) * width;
    const std::int64_t begin = part * part_rows, end = begin + part_rows < rows ? begin + part_rows : rows;
    T *const a = shared, *const b = shared + 2 * deep * height;

    const int left = thread % (width / 4) * 4, top = thread / (width / 4) * 4;
    Gather::Tap tap[packs ? 1 : 4];
    TRIREME_UNROLL
    for (int j = 0; j < (packs ? 1 : 4); ++j) tap[j] = gather.tap(first_column + left + j);
    Gather::Spot spot[loads];
    int place[loads][3];  // of the spots
    TRIREME_UNROLL
    for (int r = 0; r < loads; ++r) {
      const std::int64_t row = begin + (thread + r * threads) / (width / 4);
      spot[r] = gather.spot(row, end);
      const auto at = static_cast<std::uint32_t>(row % gather.pixels), tw = static_cast<std::uint32_t>(gather.to[2]),
                 th = static_cast<std::uint32_t>(gather.to[1]);
      place[r][0] = static_cast<int>(at / tw / th), place[r][1] = static_cast<int>(at / tw % th), place[r][2] = static_cast<int>(at % tw);
    }
    const int gradient_row = thread / (height / 4), gradient_column = first_output + thread % (height / 4) * 4;

    Four<T> taken[loads], gradient{};
    const auto fetch = [&](std::int64_t row) {
      TRIREME_UNROLL
      for (int r = 0; r < loads; ++r) {
        if constexpr (packs) {
          const int at = gather.element(spot[r], tap[0]);
          taken[r] = at < 0 ? Four<T>{} : *reinterpret_cast<const Four<T>*>(x + at);
        } else {
          TRIREME_UNROLL
          for (int j = 0; j < 4; ++j) {
            const int at = gather.element(spot[r], tap[j]);
            taken[r].lane[j] = at < 0 ? T{} : x[at];
          }
        }
        // The spot eight pixels on.
        place[r][2] += deep;
        while (place[r][2] >= gather.to[2]) {
          place[r][2] -= gather.to[2];
          if (++place[r][1] == gather.to[1]) {
            place[r][1] = 0;
            if (++place[r][0] == gather.to[0]) place[r][0] = 0, spot[r].sample += gather.from[0] * gather.from[1] * gather.from[2] * gather.channels;
          }
        }
        gather.put(spot[r], place[r][0], place[r][1], place[r][2]);
        spot[r].there = row + deep + (thread + r * threads) / (width / 4) < end;
      }
      const bool there = row + gradient_row < end;
      const T* const from = dy + (row + gradient_row) * outputs + gradient_column;
      if (dy_in_fours) {
        gradient = there && gradient_column < outputs ? *reinterpret_cast<const Four<T>*>(from) : Four<T>{};
      } else {
        TRIREME_UNROLL
        for (int j = 0; j < 4; ++j) gradient.lane[j] = there && gradient_column + j < outputs ? from[j] : T{};
      }
    };
    const auto store = [&](int half) {
      T *const to_a = a + half * deep * height, *const to_b = b + half * deep * width;
      TRIREME_UNROLL
      for (int r = 0; r < loads; ++r) TRIREME_UNROLL
      for (int j = 0; j < 4; ++j) to_b[(thread + r * threads) * 4 + j] = operand<rounds>(taken[r].lane[j], dropped);
      TRIREME_UNROLL
      for (int j = 0; j < 4; ++j) to_a[thread * 4 + j] = operand<rounds>(gradient.lane[j], dropped);
    };

    T sum[8][4] = {};
    fetch(begin);
    store(0);
    team.team_barrier();
    int half = 0;
    for (std::int64_t row = begin; row < end; row += deep, half = 1 - half) {
      const bool more = row + deep < end;
      if (more) fetch(row + deep);
      const T *const from_a = a + half * deep * height + top, *const from_b = b + half * deep * width + left;
      add_products<deep, height, width>(from_a, from_b, sum);
      if (more) store(1 - half);
      team.team_barrier();
    }

    const int columns = gather.width();
    TRIREME_UNROLL
    for (int i = 0; i < 8; ++i) {
      const int output = first_output + (i < 4 ? 0 : height / 2 - 4) + top + i;
      TRIREME_UNROLL
      for (int j = 0; j < 4; ++j)
        if (const int column = first_column + left + j; output < outputs && column < columns) partial[(part * outputs + output) * columns + column] = sum[i][j];
    }
  }
};

}  // namespace trireme::detail

#undef TRIREME_UNROLL
