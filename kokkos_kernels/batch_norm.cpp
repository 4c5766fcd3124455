// Batch normalization over a matrix of rows (samples and pixels) by channels. norm.hpp has the mathematics and its sources.
//
//   host:    tiles of rows x 16 channels; a tile's sums go to the workspace (block, 2, channels), then one thread per channel joins the blocks, in order
//   device:  teams of threads with up to 32 neighboring channels and a block of rows (detail/column_teams.hpp), then one team per channel
//
// Passes that write activations (scale_channels, backward) read and write each element once.
#include "kokkos_kernels/detail/column_teams.hpp"
#include "kokkos_kernels/detail/columns.hpp"
#include "kokkos_kernels/norm.hpp"

namespace trireme {

using detail::ColumnTeams;
using detail::for_tiles;
using detail::lanes;
using detail::Tiles;

namespace {

// y = factor x + shift: one function, so that the backward pass masks what the forward pass cut.
template <class T>
KOKKOS_INLINE_FUNCTION T scaled(T x, T factor, T shift) {
  return factor * x + shift;
}

template <class T, std::int64_t width, bool relu>
KOKKOS_INLINE_FUNCTION void scale_tile(const T* x, std::int64_t rows, std::int64_t stride, std::int64_t used, const T* factor, const T* shift, T* y) {
  const std::int64_t n = width > 0 ? width : used;
  T a[lanes], b[lanes], z[lanes];
  for (std::int64_t l = 0; l < n; ++l) a[l] = factor[l], b[l] = shift[l];
  for (std::int64_t at = 0; at < rows * stride; at += stride) {
    for (std::int64_t l = 0; l < n; ++l) {
      z[l] = scaled(x[at + l], a[l], b[l]);
      if (relu) z[l] = z[l] < T{} ? T{} : z[l];
    }
    for (std::int64_t l = 0; l < n; ++l) y[at + l] = z[l];
  }
}

// Sums of g and g (x - mean).
template <class T, std::int64_t width, bool relu>
KOKKOS_INLINE_FUNCTION void gradient_tile(const T* x, const T* dy, std::int64_t rows, std::int64_t stride, std::int64_t used, const double* mean,
                                          const T* factor, const T* shift, double* plain, double* moment) {
  const std::int64_t n = width > 0 ? width : used;
  constexpr std::int64_t chains = detail::chains<width>;
  T m[lanes], a[lanes], b[lanes], sum[chains][lanes], product[chains][lanes];
  for (std::int64_t l = 0; l < n; ++l) m[l] = static_cast<T>(mean[l]), a[l] = factor[l], b[l] = shift[l];
  for (std::int64_t c = 0; c < chains; ++c)
    for (std::int64_t l = 0; l < n; ++l) sum[c][l] = product[c][l] = T{};
  detail::for_chained_rows<width>(rows, [&](std::int64_t c, std::int64_t row) {
    const T *const line = x + row * stride, *const gradient = dy + row * stride;
    for (std::int64_t l = 0; l < n; ++l) {
      const T v = line[l], d = gradient[l], g = relu && scaled(v, a[l], b[l]) <= T{} ? T{} : d;
      sum[c][l] += g;
      product[c][l] += g * (v - m[l]);
    }
  });
  for (std::int64_t l = 0; l < n; ++l) {
    plain[l] = moment[l] = 0;
    for (std::int64_t c = 0; c < chains; ++c) plain[l] += static_cast<double>(sum[c][l]), moment[l] += static_cast<double>(product[c][l]);
  }
}

// dx = c0 g + c1 (x - mean) + c2
template <class T, std::int64_t width, bool relu>
KOKKOS_INLINE_FUNCTION void backward_tile(const T* x, const T* dy, std::int64_t rows, std::int64_t stride, std::int64_t used, const double* mean,
                                          const T* factor, const T* shift, const T* coefficients, std::int64_t channels, T* dx) {
  const std::int64_t n = width > 0 ? width : used;
  T m[lanes], a[lanes], b[lanes], c0[lanes], c1[lanes], c2[lanes], z[lanes];
  for (std::int64_t l = 0; l < n; ++l) {
    m[l] = static_cast<T>(mean[l]), a[l] = factor[l], b[l] = shift[l];
    c0[l] = coefficients[l], c1[l] = coefficients[channels + l], c2[l] = coefficients[2 * channels + l];
  }
  for (std::int64_t at = 0; at < rows * stride; at += stride) {
    for (std::int64_t l = 0; l < n; ++l) {
      const T v = x[at + l], d = dy[at + l], g = relu && scaled(v, a[l], b[l]) <= T{} ? T{} : d;
      z[l] = c0[l] * g + (c1[l] * (v - m[l]) + c2[l]);
    }
    for (std::int64_t l = 0; l < n; ++l) dx[at + l] = z[l];
  }
}

template <class T>
KOKKOS_INLINE_FUNCTION double element(const Span<const T>& values, std::int64_t i, double fallback) {
  return values.data() == nullptr ? fallback : static_cast<double>(values(static_cast<std::size_t>(i)));
}

// A device's thread: n rows of a column as sums of x - center and (x - center)^2.
template <class T>
KOKKOS_INLINE_FUNCTION void strided_moments(const T* x, std::int64_t first, std::int64_t step, std::int64_t last, std::int64_t stride, double center,
                                            double (&sums)[2]) {
  const T start = x[first * stride];
  T sum{}, square{};
  std::int64_t n = 0;
  for (std::int64_t row = first; row < last; row += step, ++n) {
    const T d = x[row * stride] - start;
    sum += d;
    square += d * d;
  }
  const double count = static_cast<double>(n), s = static_cast<double>(sum), squares = static_cast<double>(square) - s * s / count,
               d = static_cast<double>(start) + s / count - center;
  sums[0] = count * d;
  sums[1] = (squares < 0 ? 0 : squares) + count * d * d;
}

template <class T>
void device_batch_sums(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> pivot, Span<double> workspace,
                       Span<double> sums) {
  const ColumnTeams teams(rows, channels);
  const auto take = KOKKOS_LAMBDA(std::int64_t, std::int64_t c, std::int64_t first, std::int64_t step, std::int64_t last, double(&mine)[2]) {
    strided_moments(x.data() + c, first, step, last, channels, static_cast<double>(pivot(c)), mine);
  };
  const auto keep = KOKKOS_LAMBDA(std::int64_t, std::int64_t block, std::int64_t c, const double(&all)[2]) {
    for (int k = 0; k < 2; ++k) workspace((block * 2 + k) * channels + c) = all[k];
  };
  detail::for_column_sums<2>(exec, "trireme::norm::batch_sums", teams, 1, take, keep);
  const auto give = KOKKOS_LAMBDA(std::int64_t c, const double(&all)[2]) {
    sums(c) = all[0];
    sums(channels + c) = all[1];
    if (c == 0) sums(2 * channels) = static_cast<double>(rows);
  };
  detail::for_block_sums<2>(exec, "trireme::norm::batch_total", teams.down, channels, workspace, give);
}

template <class T>
void device_scale(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> factor, Span<const T> shift, Span<T> y,
                  bool relu) {
  detail::for_matrix(
      exec, "trireme::norm::scale_channels", rows, channels, KOKKOS_LAMBDA(std::int64_t i, std::int64_t c) {
        const T z = scaled(x(i), factor(c), shift(c));
        y(i) = relu && z < T{} ? T{} : z;
      });
}

template <class T>
void device_gradient_sums(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> dy, const BatchMoments<T>& moments,
                          bool relu, Span<double> workspace, Span<double> sums, Span<T> dweight, Span<T> dbias) {
  const ColumnTeams teams(rows, channels);
  const BatchMoments<T> m = moments;
  const auto take = KOKKOS_LAMBDA(std::int64_t, std::int64_t c, std::int64_t first, std::int64_t step, std::int64_t last, double(&mine)[2]) {
    const T mean = static_cast<T>(m.mean(c)), factor = m.factor(c), shift = m.shift(c);
    T sum{}, product{};
    for (std::int64_t row = first; row < last; row += step) {
      const T v = x(row * channels + c), d = dy(row * channels + c), g = relu && scaled(v, factor, shift) <= T{} ? T{} : d;
      sum += g;
      product += g * (v - mean);
    }
    mine[0] = static_cast<double>(sum), mine[1] = static_cast<double>(product);
  };
  const auto keep = KOKKOS_LAMBDA(std::int64_t, std::int64_t block, std::int64_t c, const double(&all)[2]) {
    for (int k = 0; k < 2; ++k) workspace((block * 2 + k) * channels + c) = all[k];
  };
  detail::for_column_sums<2>(exec, "trireme::norm::batch_gradient_sums", teams, 1, take, keep);
  const auto give = KOKKOS_LAMBDA(std::int64_t c, const double(&all)[2]) {
    const double product = all[1] * m.inv_std(c);
    sums(c) = all[0];
    sums(channels + c) = product;
    if (dweight.data() != nullptr) dweight(c) += static_cast<T>(product);
    if (dbias.data() != nullptr) dbias(c) += static_cast<T>(all[0]);
  };
  detail::for_block_sums<2>(exec, "trireme::norm::batch_gradient_total", teams.down, channels, workspace, give);
}

template <class T>
void device_backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> dy, const BatchMoments<T>& moments,
                     bool relu, Span<const T> coefficients, Span<T> dx) {
  const BatchMoments<T> m = moments;
  detail::for_matrix(
      exec, "trireme::norm::batch_norm_backward", rows, channels, KOKKOS_LAMBDA(std::int64_t i, std::int64_t c) {
        const T v = x(i), d = dy(i), g = relu && scaled(v, m.factor(c), m.shift(c)) <= T{} ? T{} : d;
        dx(i) = coefficients(c) * g + (coefficients(channels + c) * (v - static_cast<T>(m.mean(c))) + coefficients(2 * channels + c));
      });
}

}  // namespace

std::int64_t batch_sums_workspace(std::int64_t rows, std::int64_t channels) {
  return (on_host ? Tiles(rows, channels).down : ColumnTeams(rows, channels).down_limit()) * 2 * channels;
}

template <class T>
void batch_sums(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> pivot, Span<double> workspace,
                Span<double> sums) {
  if constexpr (!on_host) {
    device_batch_sums(exec, rows, channels, x, pivot, workspace, sums);
  } else {
    const Tiles tiles(rows, channels);
    for_tiles(
        exec, "trireme::norm::batch_sums", tiles, KOKKOS_LAMBDA(std::int64_t block, std::int64_t first) {
          const T* const from = x.data() + block * tiles.height * channels + first;
          double* const mean = workspace.data() + block * 2 * channels + first;
          const std::int64_t used = tiles.width_of(first), height = tiles.height_of(block);
          if (used == lanes)
            detail::column_moments<T, lanes>(from, height, channels, used, mean, mean + channels);
          else
            detail::column_moments<T, 0>(from, height, channels, used, mean, mean + channels);
        });
    Kokkos::parallel_for(
        "trireme::norm::batch_total", Range(exec, 0, channels), KOKKOS_LAMBDA(std::int64_t c) {
          const double center = static_cast<double>(pivot(c));
          double sum = 0, square = 0;
          for (std::int64_t block = 0; block < tiles.down; ++block) {
            const double n = static_cast<double>(tiles.height_of(block)), d = workspace(block * 2 * channels + c) - center;
            sum += n * d;
            square += workspace((block * 2 + 1) * channels + c) + n * d * d;
          }
          sums(c) = sum;
          sums(channels + c) = square;
          if (c == 0) sums(2 * channels) = static_cast<double>(rows);
        });
  }
}

template <class T>
void batch_moments(const Execution& exec, std::int64_t channels, Span<const double> sums, Span<const T> pivot, double eps, double samples, Span<const T> weight,
                   Span<const T> bias, const BatchMoments<T>& moments, Span<T> observed_mean, Span<T> observed_var) {
  const BatchMoments<T> m = moments;
  Kokkos::parallel_for(
      "trireme::norm::batch_moments", Range(exec, 0, channels), KOKKOS_LAMBDA(std::int64_t c) {
        const double n = sums(2 * channels), off = n > 0 ? sums(c) / n : 0, spread = n > 0 ? sums(channels + c) / n - off * off : 0;
        const double mean = static_cast<double>(pivot(c)) + off, var = spread < 0 ? 0 : spread;
        const double inv_std = 1 / Kokkos::sqrt(var + eps), factor = element<T>(weight, c, 1) * inv_std;
        m.mean(c) = mean;
        m.inv_std(c) = inv_std;
        m.factor(c) = static_cast<T>(factor);
        m.shift(c) = static_cast<T>(element<T>(bias, c, 0) - mean * factor);
        if (c == 0) m.rows(0) = n;
        observed_mean(c) += static_cast<T>(samples * mean);
        observed_var(c) += static_cast<T>(samples * (n > 1 ? var * (n / (n - 1)) : var));
      });
}

template <class T>
void running_factors(const Execution& exec, std::int64_t channels, Span<const T> mean, Span<const T> var, double eps, Span<const T> weight, Span<const T> bias,
                     Span<T> factor, Span<T> shift) {
  Kokkos::parallel_for(
      "trireme::norm::running_factors", Range(exec, 0, channels), KOKKOS_LAMBDA(std::int64_t c) {
        const double f = element<T>(weight, c, 1) / Kokkos::sqrt(static_cast<double>(var(c)) + eps);
        factor(c) = static_cast<T>(f);
        shift(c) = static_cast<T>(element<T>(bias, c, 0) - static_cast<double>(mean(c)) * f);
      });
}

template <class T>
void scale_channels(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> factor, Span<const T> shift, Span<T> y,
                    bool relu) {
  if constexpr (!on_host) {
    device_scale(exec, rows, channels, x, factor, shift, y, relu);
  } else {
    const Tiles tiles(rows, channels);
    for_tiles(
        exec, "trireme::norm::scale_channels", tiles, KOKKOS_LAMBDA(std::int64_t block, std::int64_t first) {
          const std::int64_t at = block * tiles.height * channels + first, used = tiles.width_of(first), height = tiles.height_of(block);
          const auto run = [&](auto tile) { tile(x.data() + at, height, channels, used, factor.data() + first, shift.data() + first, y.data() + at); };
          if (used == lanes)
            relu ? run(scale_tile<T, lanes, true>) : run(scale_tile<T, lanes, false>);
          else
            relu ? run(scale_tile<T, 0, true>) : run(scale_tile<T, 0, false>);
        });
  }
}

template <class T>
void batch_gradient_sums(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> dy, const BatchMoments<T>& moments,
                         bool relu, Span<double> workspace, Span<double> sums, Span<T> dweight, Span<T> dbias) {
  if constexpr (!on_host) {
    device_gradient_sums(exec, rows, channels, x, dy, moments, relu, workspace, sums, dweight, dbias);
  } else {
    const Tiles tiles(rows, channels);
    const BatchMoments<T> m = moments;
    for_tiles(
        exec, "trireme::norm::batch_gradient_sums", tiles, KOKKOS_LAMBDA(std::int64_t block, std::int64_t first) {
          const std::int64_t at = block * tiles.height * channels + first, used = tiles.width_of(first), height = tiles.height_of(block);
          double* const out = workspace.data() + block * 2 * channels + first;
          const auto run = [&](auto tile) {
            tile(x.data() + at, dy.data() + at, height, channels, used, m.mean.data() + first, m.factor.data() + first, m.shift.data() + first, out,
                 out + channels);
          };
          if (used == lanes)
            relu ? run(gradient_tile<T, lanes, true>) : run(gradient_tile<T, lanes, false>);
          else
            relu ? run(gradient_tile<T, 0, true>) : run(gradient_tile<T, 0, false>);
        });
    Kokkos::parallel_for(
        "trireme::norm::batch_gradient_total", Range(exec, 0, channels), KOKKOS_LAMBDA(std::int64_t c) {
          double sum = 0, product = 0;
          for (std::int64_t block = 0; block < tiles.down; ++block) {
            sum += workspace(block * 2 * channels + c);
            product += workspace((block * 2 + 1) * channels + c);
          }
          product *= m.inv_std(c);
          sums(c) = sum;
          sums(channels + c) = product;
          if (dweight.data() != nullptr) dweight(c) += static_cast<T>(product);
          if (dbias.data() != nullptr) dbias(c) += static_cast<T>(sum);
        });
  }
}

template <class T>
void batch_norm_backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> dy, const BatchMoments<T>& moments,
                         bool relu, Span<const T> weight, Span<const double> sums, Span<T> coefficients, Span<T> dx) {
  const Tiles tiles(rows, channels);
  const BatchMoments<T> m = moments;
  Kokkos::parallel_for(
      "trireme::norm::batch_coefficients", Range(exec, 0, channels), KOKKOS_LAMBDA(std::int64_t c) {
        const double factor = element<T>(weight, c, 1) * m.inv_std(c), n = m.rows(0);
        coefficients(c) = static_cast<T>(factor);
        coefficients(channels + c) = static_cast<T>(-factor * m.inv_std(c) * sums(channels + c) / n);
        coefficients(2 * channels + c) = static_cast<T>(-factor * sums(c) / n);
      });
  if constexpr (!on_host) {
    device_backward<T>(exec, rows, channels, x, dy, moments, relu, coefficients, dx);
  } else {
    for_tiles(
        exec, "trireme::norm::batch_norm_backward", tiles, KOKKOS_LAMBDA(std::int64_t block, std::int64_t first) {
          const std::int64_t at = block * tiles.height * channels + first, used = tiles.width_of(first), height = tiles.height_of(block);
          const auto run = [&](auto tile) {
            tile(x.data() + at, dy.data() + at, height, channels, used, m.mean.data() + first, m.factor.data() + first, m.shift.data() + first,
                 coefficients.data() + first, channels, dx.data() + at);
          };
          if (used == lanes)
            relu ? run(backward_tile<T, lanes, true>) : run(backward_tile<T, lanes, false>);
          else
            relu ? run(backward_tile<T, 0, true>) : run(backward_tile<T, 0, false>);
        });
  }
}

template <class T>
void update_running(const Execution& exec, std::int64_t count, std::int64_t samples, Span<const T> momentum, Span<const T> batch_stats, Span<T> running) {
  const T share = T{1} / static_cast<T>(samples);
  Kokkos::parallel_for(
      "trireme::norm::update_running", Range(exec, 0, count),
      KOKKOS_LAMBDA(std::int64_t i) { running(i) += momentum(i) * (batch_stats(i) * share - running(i)); });
}

#define TRIREME_INSTANTIATE(T)                                                                                                                               \
  template void batch_sums(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const T>, Span<double>, Span<double>);                          \
  template void batch_moments(const Execution&, std::int64_t, Span<const double>, Span<const T>, double, double, Span<const T>, Span<const T>,               \
                              const BatchMoments<T>&, Span<T>, Span<T>);                                                                                     \
  template void running_factors(const Execution&, std::int64_t, Span<const T>, Span<const T>, double, Span<const T>, Span<const T>, Span<T>, Span<T>);       \
  template void scale_channels(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const T>, Span<const T>, Span<T>, bool);                    \
  template void batch_gradient_sums(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const T>, const BatchMoments<T>&, bool, Span<double>,  \
                                    Span<double>, Span<T>, Span<T>);                                                                                         \
  template void batch_norm_backward(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const T>, const BatchMoments<T>&, bool, Span<const T>, \
                                    Span<const double>, Span<T>, Span<T>);                                                                                   \
  template void update_running(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const T>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
