// Copies and sums are one launch over all elements; layouts move tiles, see transpose below. Sums of columns and squares have a fixed order: rows in order,
// or blocks of 8192 elements whose sums are added in order.
#include "kokkos_kernels/elementwise.hpp"

#include "kokkos_kernels/detail/column_teams.hpp"
#include "kokkos_kernels/detail/launch.hpp"

namespace trireme {

template <class T>
void copy(const Execution& exec, std::int64_t count, Span<const T> x, Span<T> y) {
  Kokkos::parallel_for(
      "trireme::elementwise::copy", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) { y(i) = x(i); });
}

template <class T>
void exchange(const Execution& exec, std::int64_t count, Span<T> x, Span<T> y) {
  Kokkos::parallel_for(
      "trireme::elementwise::exchange", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) {
        const T value = x(i);
        x(i) = y(i);
        y(i) = value;
      });
}

template <class T>
void fill(const Execution& exec, std::int64_t count, T value, Span<T> y) {
  Kokkos::parallel_for(
      "trireme::elementwise::fill", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) { y(i) = value; });
}

template <class T>
void add_to(const Execution& exec, std::int64_t count, Span<const T> x, Span<T> y) {
  Kokkos::parallel_for(
      "trireme::elementwise::add_to", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) { y(i) += x(i); });
}

template <class T>
void scale(const Execution& exec, std::int64_t count, T factor, Span<const T> x, Span<T> y) {
  Kokkos::parallel_for(
      "trireme::elementwise::scale", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) { y(i) = factor * x(i); });
}

template <class T>
void sum(const Execution& exec, std::int64_t count, Span<const T> a, Span<const T> b, Span<T> y, bool relu) {
  if (relu)
    return Kokkos::parallel_for(
        "trireme::elementwise::sum_relu", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) {
          const T z = a(i) + b(i);
          y(i) = z < T{} ? T{} : z;
        });
  Kokkos::parallel_for(
      "trireme::elementwise::sum", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) { y(i) = a(i) + b(i); });
}

template <class T>
void copy_columns(const Execution& exec, std::int64_t rows, std::int64_t width, Span<const T> from, std::int64_t from_width, std::int64_t from_first,
                  Span<T> to, std::int64_t to_width, std::int64_t to_first) {
  detail::for_rows(
      exec, "trireme::elementwise::copy_columns", rows, width, KOKKOS_LAMBDA(std::int64_t r, std::int64_t first, std::int64_t count) {
        for (std::int64_t c = first; c < first + count; ++c) to(r * to_width + to_first + c) = from(r * from_width + from_first + c);
      });
}

namespace {

// (n, a, b) -> (n, b, a)
//
// The host copies tiles of 16 x 16, which stay in the first cache. A thread takes a band of tiles across the longer side of a sample:
//
//           b                      a
//      +---------+          +----+----+----+
//      | band 0  |          | b0 | b1 | b2 |
//    a +---------+    ->  b |    |    |    |
//      | band 1  |          |    |    |    |
//      +---------+          +----+----+----+
//      | band 2  |
//      +---------+
template <class T>
void transpose(const Execution& exec, const char* label, std::int64_t n, std::int64_t a, std::int64_t b, Span<const T> x, Span<T> y) {
  if (a == 1 || b == 1) return copy<T>(exec, n * a * b, x, y);
  if constexpr (on_host) {
    constexpr std::int64_t tile = 16, least_elements = 4096;
    const bool cuts_a = a >= b;
    const std::int64_t length = cuts_a ? a : b, across = cuts_a ? b : a;
    const std::int64_t band = across == 0 ? length : tile * ((least_elements + tile * across - 1) / (tile * across));
    const std::int64_t bands = length == 0 ? 0 : (length + band - 1) / band;
    Kokkos::parallel_for(
        label, Range(exec, 0, n * bands), KOKKOS_LAMBDA(std::int64_t item) {
          const std::int64_t s = item / bands, first = item % bands * band, last = detail::least(first + band, length);
          const std::int64_t a_first = cuts_a ? first : 0, a_last = cuts_a ? last : a, b_first = cuts_a ? 0 : first, b_last = cuts_a ? b : last;
          const T* const in = x.data() + s * a * b;
          T* const out = y.data() + s * a * b;
          for (std::int64_t i0 = a_first; i0 < a_last; i0 += tile)
            for (std::int64_t j0 = b_first; j0 < b_last; j0 += tile) {
              const std::int64_t i1 = detail::least(i0 + tile, a_last), j1 = detail::least(j0 + tile, b_last);
              for (std::int64_t j = j0; j < j1; ++j)
                for (std::int64_t i = i0; i < i1; ++i) out[j * a + i] = in[i * b + j];
            }
        });
  } else {
    Kokkos::parallel_for(
        label, Range(exec, 0, n * a * b), KOKKOS_LAMBDA(std::int64_t k) {
          const std::int64_t s = k / (a * b), j = k / a % b, i = k % a;
          y(k) = x((s * a + i) * b + j);
        });
  }
}

}  // namespace

template <class T>
void channels_first(const Execution& exec, std::int64_t n, std::int64_t pixels, std::int64_t channels, Span<const T> x, Span<T> y) {
  transpose<T>(exec, "trireme::elementwise::channels_first", n, pixels, channels, x, y);
}

template <class T>
void channels_last(const Execution& exec, std::int64_t n, std::int64_t pixels, std::int64_t channels, Span<const T> x, Span<T> y) {
  transpose<T>(exec, "trireme::elementwise::channels_last", n, channels, pixels, x, y);
}

template <class T>
void reshape(const Execution& exec, std::int64_t n, std::int64_t pixels, std::int64_t channels, std::int64_t to_pixels, std::int64_t to_channels,
             Span<const T> x, Span<T> y) {
  const std::int64_t elements = pixels * channels;
  Kokkos::parallel_for(
      "trireme::elementwise::reshape", Range(exec, 0, n * to_pixels), KOKKOS_LAMBDA(std::int64_t row) {
        const std::int64_t sample = row / to_pixels, p = row % to_pixels;
        for (std::int64_t c = 0; c < to_channels; ++c) {
          const std::int64_t at = c * to_pixels + p;
          y(row * to_channels + c) = x(sample * elements + at % pixels * channels + at / pixels);
        }
      });
}

template <class T>
void add_bias(const Execution& exec, std::int64_t rows, std::int64_t columns, Span<const T> bias, Span<T> y, bool relu) {
  const bool has_bias = bias.data() != nullptr;
  detail::for_rows(
      exec, "trireme::elementwise::add_bias", rows, columns, KOKKOS_LAMBDA(std::int64_t r, std::int64_t first, std::int64_t count) {
        for (std::int64_t c = first; c < first + count; ++c) {
          T& value = y(r * columns + c);
          const T z = has_bias ? value + bias(c) : value;
          value = relu && z < T{} ? T{} : z;
        }
      });
}

namespace {

constexpr std::int64_t norm_block = 8192;

template <class T>
void host_column_sums(const Execution& exec, std::int64_t rows, std::int64_t columns, Span<const T> x, Span<T> out) {
  constexpr std::int64_t width = 64;
  Kokkos::parallel_for(
      "trireme::elementwise::add_column_sums", Range(exec, 0, (columns + width - 1) / width), KOKKOS_LAMBDA(std::int64_t block) {
        const std::int64_t first = block * width, used = columns - first < width ? columns - first : width;
        T sums[width] = {};
        for (std::int64_t r = 0; r < rows; ++r)
          for (std::int64_t c = 0; c < used; ++c) sums[c] += x(r * columns + first + c);
        for (std::int64_t c = 0; c < used; ++c) out(first + c) += sums[c];
      });
}

template <class T>
void device_column_sums(const Execution& exec, std::int64_t rows, std::int64_t columns, Span<const T> x, Span<T> out) {
  const auto take = KOKKOS_LAMBDA(std::int64_t, std::int64_t c, std::int64_t first, std::int64_t step, std::int64_t last, double(&sums)[1]) {
    T sum{};
    for (std::int64_t r = first; r < last; r += step) sum += x(r * columns + c);
    sums[0] = static_cast<double>(sum);
  };
  const auto add = KOKKOS_LAMBDA(std::int64_t, std::int64_t, std::int64_t c, const double(&sums)[1]) { out(c) += static_cast<T>(sums[0]); };
  detail::for_column_sums<1>(exec, "trireme::elementwise::add_column_sums", detail::ColumnTeams::whole(rows, columns), 1, take, add);
}

}  // namespace

template <class T>
void add_column_sums(const Execution& exec, std::int64_t rows, std::int64_t columns, Span<const T> x, Span<T> out) {
  if constexpr (on_host)
    host_column_sums<T>(exec, rows, columns, x, out);
  else
    device_column_sums<T>(exec, rows, columns, x, out);
}

std::int64_t squared_norm_workspace(std::int64_t count) { return (count + norm_block - 1) / norm_block; }

template <class T>
void squared_norm(const Execution& exec, std::int64_t count, Span<const T> x, Span<double> partial, Span<double> result) {
  const std::int64_t blocks = squared_norm_workspace(count);
  detail::for_sums(
      exec, "trireme::elementwise::squared_norm", blocks,
      KOKKOS_LAMBDA(std::int64_t block) {
        return detail::IndexRange{block * norm_block, detail::least((block + 1) * norm_block, count)};
      },
      KOKKOS_LAMBDA(std::int64_t, std::int64_t i) { return static_cast<double>(x(i)) * static_cast<double>(x(i)); },
      KOKKOS_LAMBDA(std::int64_t block, double total) { partial(block) = total; });
  detail::for_sums(
      exec, "trireme::elementwise::squared_norm_total", 1,
      KOKKOS_LAMBDA(std::int64_t) {
        return detail::IndexRange{0, blocks};
      },
      KOKKOS_LAMBDA(std::int64_t, std::int64_t block) { return partial(block); }, KOKKOS_LAMBDA(std::int64_t, double total) { result(0) = total; });
}

#define TRIREME_INSTANTIATE(T)                                                                                                                              \
  template void copy(const Execution&, std::int64_t, Span<const T>, Span<T>);                                                                               \
  template void exchange(const Execution&, std::int64_t, Span<T>, Span<T>);                                                                                 \
  template void fill(const Execution&, std::int64_t, T, Span<T>);                                                                                           \
  template void add_to(const Execution&, std::int64_t, Span<const T>, Span<T>);                                                                             \
  template void sum(const Execution&, std::int64_t, Span<const T>, Span<const T>, Span<T>, bool);                                                           \
  template void copy_columns(const Execution&, std::int64_t, std::int64_t, Span<const T>, std::int64_t, std::int64_t, Span<T>, std::int64_t, std::int64_t); \
  template void channels_first(const Execution&, std::int64_t, std::int64_t, std::int64_t, Span<const T>, Span<T>);                                         \
  template void channels_last(const Execution&, std::int64_t, std::int64_t, std::int64_t, Span<const T>, Span<T>);                                          \
  template void scale(const Execution&, std::int64_t, T, Span<const T>, Span<T>);                                                                           \
  template void reshape(const Execution&, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, Span<const T>, Span<T>);                    \
  template void add_bias(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<T>, bool);                                                       \
  template void add_column_sums(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<T>);                                                      \
  template void squared_norm(const Execution&, std::int64_t, Span<const T>, Span<double>, Span<double>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
