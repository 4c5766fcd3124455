#include "kokkos_kernels/softmax.hpp"

#include "kokkos_kernels/detail/launch.hpp"

namespace trireme {

namespace {

constexpr std::int64_t block_length = 1024;

// The steps of a row or of a block of it, and the number in front of a sum over the row.
template <class T>
KOKKOS_INLINE_FUNCTION T largest(const T* x, std::int64_t count) {
  T top = x[0];
  for (std::int64_t c = 1; c < count; ++c) top = x[c] > top ? x[c] : top;
  return top;
}

template <class T>
struct Softmax {
  KOKKOS_INLINE_FUNCTION static T exponentials(const T* x, T top, std::int64_t count, T* y) {
    T total{};
    for (std::int64_t c = 0; c < count; ++c) {
      y[c] = Kokkos::exp(x[c] - top);
      total += y[c];
    }
    return total;
  }
  KOKKOS_INLINE_FUNCTION static void finish(const T*, T, T total, std::int64_t count, T* y) {
    const T factor = T{1} / total;
    for (std::int64_t c = 0; c < count; ++c) y[c] *= factor;
  }
  KOKKOS_INLINE_FUNCTION static T gradient_sum(const T* y, const T* dy, std::int64_t count) {
    T dot{};
    for (std::int64_t c = 0; c < count; ++c) dot += y[c] * dy[c];
    return dot;
  }
  KOKKOS_INLINE_FUNCTION static void gradient(const T* y, const T* dy, T sum, std::int64_t count, T* dx) {
    for (std::int64_t c = 0; c < count; ++c) dx[c] = y[c] * (dy[c] - sum);
  }
};

template <class T>
struct LogSoftmax {
  KOKKOS_INLINE_FUNCTION static T exponentials(const T* x, T top, std::int64_t count, T*) {
    T total{};
    for (std::int64_t c = 0; c < count; ++c) total += Kokkos::exp(x[c] - top);
    return total;
  }
  KOKKOS_INLINE_FUNCTION static void finish(const T* x, T top, T total, std::int64_t count, T* y) {
    const T log_total = Kokkos::log(total);
    for (std::int64_t c = 0; c < count; ++c) y[c] = (x[c] - top) - log_total;
  }
  KOKKOS_INLINE_FUNCTION static T gradient_sum(const T*, const T* dy, std::int64_t count) {
    T total{};
    for (std::int64_t c = 0; c < count; ++c) total += dy[c];
    return total;
  }
  KOKKOS_INLINE_FUNCTION static void gradient(const T* y, const T* dy, T sum, std::int64_t count, T* dx) {
    for (std::int64_t c = 0; c < count; ++c) dx[c] = dy[c] - Kokkos::exp(y[c]) * sum;
  }
};

std::int64_t blocks_of(std::int64_t channels) { return (channels + block_length - 1) / block_length; }

// f(block of all rows, its row, first element, elements)
template <class F>
void for_row_blocks(const Execution& exec, const char* label, std::int64_t rows, std::int64_t channels, const F& f) {
  const std::int64_t blocks = blocks_of(channels);
  Kokkos::parallel_for(
      label, Range(exec, 0, rows * blocks), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t row = i / blocks, first = i % blocks * block_length;
        f(i, row, row * channels + first, detail::least(block_length, channels - first));
      });
}

// The parts of a row joined in order.
template <class T>
KOKKOS_INLINE_FUNCTION T sum_of(const double* parts, std::int64_t blocks) {
  double total = 0;
  for (std::int64_t b = 0; b < blocks; ++b) total += parts[b];
  return static_cast<T>(total);
}

template <class Kind, class T>
void forward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<double> workspace, Span<T> y) {
  const std::int64_t blocks = blocks_of(channels);
  if (blocks <= 1)
    return Kokkos::parallel_for(
        "trireme::softmax::forward", Range(exec, 0, rows), KOKKOS_LAMBDA(std::int64_t r) {
          const T* const in = x.data() + r * channels;
          T* const out = y.data() + r * channels;
          const T top = largest(in, channels), total = Kind::exponentials(in, top, channels, out);
          Kind::finish(in, top, total, channels, out);
        });
  double* const tops = workspace.data();
  double* const sums = workspace.data() + rows * blocks;
  for_row_blocks(
      exec, "trireme::softmax::largest", rows, channels, KOKKOS_LAMBDA(std::int64_t block, std::int64_t, std::int64_t first, std::int64_t count) {
        tops[block] = static_cast<double>(largest(x.data() + first, count));
      });
  for_row_blocks(
      exec, "trireme::softmax::exponentials", rows, channels, KOKKOS_LAMBDA(std::int64_t block, std::int64_t row, std::int64_t first, std::int64_t count) {
        const T top = static_cast<T>(largest(tops + row * blocks, blocks));
        sums[block] = static_cast<double>(Kind::exponentials(x.data() + first, top, count, y.data() + first));
      });
  for_row_blocks(
      exec, "trireme::softmax::finish", rows, channels, KOKKOS_LAMBDA(std::int64_t, std::int64_t row, std::int64_t first, std::int64_t count) {
        const T top = static_cast<T>(largest(tops + row * blocks, blocks));
        Kind::finish(x.data() + first, top, sum_of<T>(sums + row * blocks, blocks), count, y.data() + first);
      });
}

template <class Kind, class T>
void backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> y, Span<const T> dy, Span<double> workspace, Span<T> dx) {
  const std::int64_t blocks = blocks_of(channels);
  if (blocks <= 1)
    return Kokkos::parallel_for(
        "trireme::softmax::backward", Range(exec, 0, rows), KOKKOS_LAMBDA(std::int64_t r) {
          const T* const out = y.data() + r * channels;
          const T* const g = dy.data() + r * channels;
          Kind::gradient(out, g, Kind::gradient_sum(out, g, channels), channels, dx.data() + r * channels);
        });
  double* const sums = workspace.data();
  for_row_blocks(
      exec, "trireme::softmax::gradient_sums", rows, channels, KOKKOS_LAMBDA(std::int64_t block, std::int64_t, std::int64_t first, std::int64_t count) {
        sums[block] = static_cast<double>(Kind::gradient_sum(y.data() + first, dy.data() + first, count));
      });
  for_row_blocks(
      exec, "trireme::softmax::gradient", rows, channels, KOKKOS_LAMBDA(std::int64_t, std::int64_t row, std::int64_t first, std::int64_t count) {
        Kind::gradient(y.data() + first, dy.data() + first, sum_of<T>(sums + row * blocks, blocks), count, dx.data() + first);
      });
}

}  // namespace

std::int64_t softmax_workspace(std::int64_t rows, std::int64_t channels) {
  const std::int64_t blocks = blocks_of(channels);
  return blocks > 1 ? 2 * rows * blocks : 0;
}

template <class T>
void softmax_forward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<double> workspace, Span<T> y) {
  forward<Softmax<T>>(exec, rows, channels, x, workspace, y);
}

template <class T>
void softmax_backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> y, Span<const T> dy, Span<double> workspace, Span<T> dx) {
  backward<Softmax<T>>(exec, rows, channels, y, dy, workspace, dx);
}

template <class T>
void log_softmax_forward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<double> workspace, Span<T> y) {
  forward<LogSoftmax<T>>(exec, rows, channels, x, workspace, y);
}

template <class T>
void log_softmax_backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> y, Span<const T> dy, Span<double> workspace,
                          Span<T> dx) {
  backward<LogSoftmax<T>>(exec, rows, channels, y, dy, workspace, dx);
}

#define TRIREME_INSTANTIATE(T)                                                                                                           \
  template void log_softmax_forward(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<double>, Span<T>);                 \
  template void log_softmax_backward(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const T>, Span<double>, Span<T>); \
  template void softmax_forward(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<double>, Span<T>);                     \
  template void softmax_backward(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const T>, Span<double>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
