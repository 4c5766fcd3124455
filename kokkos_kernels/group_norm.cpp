// Sums over a group take one of two ways. Where weights vary with the pixel and there is one group (layer_norm of a whole sample), the instance is
// one list of numbers, read a register at a time. Else a register holds that many channels and walks the pixels; its sums are joined to groups
// afterwards, and are the weights' gradients too where weights do not vary with the pixel.
#include "kokkos_kernels/detail/column_teams.hpp"
#include "kokkos_kernels/detail/columns.hpp"
#include "kokkos_kernels/norm.hpp"

namespace trireme {

using detail::lanes;
using detail::least;

namespace {

constexpr std::int64_t block_rows = 512;  // summed in T

KOKKOS_INLINE_FUNCTION bool is_one_list(const NormGroups& g) { return g.groups == 1 && g.pixel_stride != 0; }

// Mean and sum of squared deviations of numbers that come in parts (Chan, Golub and LeVeque 1979).
struct Joined {
  double count = 0, mean = 0, squares = 0;
  KOKKOS_INLINE_FUNCTION void join(double n, double other, double more) {
    const double total = count + n, d = other - mean;
    mean += d * (n / total);
    squares += more + d * d * (count * n / total);
    count = total;
  }
};

template <class T>
KOKKOS_INLINE_FUNCTION void moments_of(const T* x, std::int64_t rows, std::int64_t stride, std::int64_t used, double* mean, double* squares) {
  if (used == lanes)
    detail::column_moments<T, lanes>(x, rows, stride, used, mean, squares);
  else
    detail::column_moments<T, 0>(x, rows, stride, used, mean, squares);
}

template <class T>
KOKKOS_INLINE_FUNCTION Joined moments_of_list(const T* x, std::int64_t count) {
  Joined all;
  double mean[lanes], squares[lanes];
  const std::int64_t rows = count / lanes, rest = count % lanes;
  for (std::int64_t row = 0; row < rows; row += block_rows) {
    const std::int64_t height = least(block_rows, rows - row);
    moments_of(x + row * lanes, height, lanes, lanes, mean, squares);
    for (std::int64_t l = 0; l < lanes; ++l) all.join(static_cast<double>(height), mean[l], squares[l]);
  }
  if (rest > 0) moments_of(x + rows * lanes, 1, lanes, rest, mean, squares);
  for (std::int64_t l = 0; l < rest; ++l) all.join(1, mean[l], squares[l]);
  return all;
}

// f(instance, first channel, end) on the host: all channels of an instance.
template <class F>
void for_instances(const Execution& exec, const char* label, std::int64_t n, const NormGroups& g, const F& f) {
  Kokkos::parallel_for(label, Range(exec, 0, n), KOKKOS_LAMBDA(std::int64_t s) { f(s, 0, g.channels); });
}

// f(row of pixels, its pixel, channel, index of the channel's mean, of its deviation) for all elements.
template <class F>
void for_elements(const Execution& exec, const char* label, std::int64_t n, const NormGroups& g, const F& f) {
  if constexpr (on_host)
    Kokkos::parallel_for(label, Range(exec, 0, n * g.pixels), KOKKOS_LAMBDA(std::int64_t row) {
      const std::int64_t p = row % g.pixels, mean = row / g.pixels * 2 * g.groups, width = g.width();
      if (width == 1) {
        for (std::int64_t c = 0; c < g.channels; ++c) f(row, p, c, mean + c, mean + g.groups + c);
      } else {
        for (std::int64_t group = 0; group < g.groups; ++group)
          for (std::int64_t c = group * width; c < (group + 1) * width; ++c) f(row, p, c, mean + group, mean + g.groups + group);
      }
    });
  else
    Kokkos::parallel_for(label, Range(exec, 0, n * g.pixels * g.channels), KOKKOS_LAMBDA(std::int64_t i) {
      const std::int64_t row = i / g.channels, c = i % g.channels, mean = row / g.pixels * 2 * g.groups + c / g.width();
      f(row, row % g.pixels, c, mean, mean + g.groups);
    });
}

}  // namespace

namespace {

// On a device a team has a group of a sample.
constexpr int team_threads = 256;

// Element of the sample's list that is number e of a group.
KOKKOS_INLINE_FUNCTION std::int64_t element_of(const NormGroups& g, std::int64_t group, std::int64_t e) {
  const auto width = static_cast<std::uint32_t>(g.width()), at = static_cast<std::uint32_t>(e);
  return at / width * g.channels + group * g.width() + at % width;
}

template <class T>
void device_moments(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const T> x, Span<T> moments) {
  const NormGroups g = shape;
  if (n == 0) return;
  Kokkos::parallel_for("trireme::norm::group_moments", Team(exec, static_cast<int>(n * g.groups), team_threads), KOKKOS_LAMBDA(const Team::member_type& team) {
    const std::int64_t s = team.league_rank() / g.groups, group = team.league_rank() % g.groups, elements = g.pixels * g.width();
    const T* const from = x.data() + s * g.pixels * g.channels;
    const T center = from[element_of(g, group, 0)];
    double sum = 0, square = 0;
    Kokkos::parallel_reduce(
        Kokkos::TeamThreadRange(team, elements),
        [&](std::int64_t e, double& all) { all += static_cast<double>(from[element_of(g, group, e)] - center); }, sum);
    const double count = static_cast<double>(elements), off = sum / count, mean = static_cast<double>(center) + off;
    Kokkos::parallel_reduce(
        Kokkos::TeamThreadRange(team, elements),
        [&](std::int64_t e, double& all) {
          const double d = static_cast<double>(from[element_of(g, group, e)]) - mean;
          all += d * d;
        },
        square);
    Kokkos::single(Kokkos::PerTeam(team), [&] {
      T* const out = moments.data() + s * 2 * g.groups + group;
      out[0] = static_cast<T>(mean);
      out[g.groups] = static_cast<T>(1 / Kokkos::sqrt(square / count + eps));
    });
  });
}

// Sums of g = weight dy and of g (x - mean) over each group.
template <class T>
void device_group_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> dy, Span<const T> moments,
                       Span<const T> weight, Span<T> sums) {
  const NormGroups g = shape;
  const bool weighted = weight.data() != nullptr;
  if (n == 0) return;
  Kokkos::parallel_for("trireme::norm::group_norm_sums", Team(exec, static_cast<int>(n * g.groups), team_threads), KOKKOS_LAMBDA(const Team::member_type& team) {
    const std::int64_t s = team.league_rank() / g.groups, group = team.league_rank() % g.groups, elements = g.pixels * g.width(), start = s * g.pixels * g.channels;
    const T mean = moments(s * 2 * g.groups + group);
    const double count = static_cast<double>(elements), deviation = static_cast<double>(moments(s * 2 * g.groups + g.groups + group));
    const auto gradient = [&](std::int64_t at) {
      const auto channels = static_cast<std::uint32_t>(g.channels), here = static_cast<std::uint32_t>(at);
      return weighted ? dy(start + at) * weight(here % channels * g.channel_stride + here / channels * g.pixel_stride) : dy(start + at);
    };
    double sum = 0, product = 0;
    Kokkos::parallel_reduce(
        Kokkos::TeamThreadRange(team, elements), [&](std::int64_t e, double& all) { all += static_cast<double>(gradient(element_of(g, group, e))); }, sum);
    Kokkos::parallel_reduce(
        Kokkos::TeamThreadRange(team, elements),
        [&](std::int64_t e, double& all) {
          const std::int64_t at = element_of(g, group, e);
          all += static_cast<double>(gradient(at) * (x(start + at) - mean));
        },
        product);
    Kokkos::single(Kokkos::PerTeam(team), [&] {
      T* const out = sums.data() + s * 2 * g.groups + group;
      out[0] = static_cast<T>(sum / count);
      out[g.groups] = static_cast<T>(product * deviation * deviation / count);
    });
  });
}

// workspace (n, 2, channels): sums over pixels of dy, and of dy (x - mean) deviation.
template <class T>
void device_channel_parts(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> dy, Span<const T> moments,
                          Span<double> workspace) {
  const NormGroups g = shape;
  const auto take = KOKKOS_LAMBDA(std::int64_t s, std::int64_t c, std::int64_t first, std::int64_t step, std::int64_t last, double (&mine)[2]) {
    const T mean = moments(s * 2 * g.groups + c / g.width());
    T sum{}, product{};
    for (std::int64_t p = first; p < last; p += step) {
      const std::int64_t at = (s * g.pixels + p) * g.channels + c;
      sum += dy(at);
      product += dy(at) * (x(at) - mean);
    }
    mine[0] = static_cast<double>(sum), mine[1] = static_cast<double>(product);
  };
  const auto give = KOKKOS_LAMBDA(std::int64_t s, std::int64_t, std::int64_t c, const double (&all)[2]) {
    workspace(s * 2 * g.channels + c) = all[0];
    workspace((s * 2 + 1) * g.channels + c) = all[1] * static_cast<double>(moments(s * 2 * g.groups + g.groups + c / g.width()));
  };
  detail::for_column_sums<2>(exec, "trireme::norm::channel_parts", detail::ColumnTeams::whole(g.pixels, g.channels), n, take, give);
}

}  // namespace

template <class T>
void group_moments(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const T> x, Span<T> moments) {
  if constexpr (!on_host) return device_moments(exec, n, shape, eps, x, moments);
  const NormGroups g = shape;
  for_instances(exec, "trireme::norm::group_moments", n, g, KOKKOS_LAMBDA(std::int64_t s, std::int64_t begin, std::int64_t end) {
    const T* const from = x.data() + s * g.pixels * g.channels;
    T* const out = moments.data() + s * 2 * g.groups;
    const std::int64_t width = g.width();
    const double count = static_cast<double>(g.pixels * width);
    if (is_one_list(g)) {
      const Joined all = moments_of_list(from, g.pixels * g.channels);
      out[0] = static_cast<T>(all.mean);
      out[1] = static_cast<T>(1 / Kokkos::sqrt(all.squares / count + eps));
      return;
    }
    Joined group;
    for (std::int64_t first = begin; first < end; first += lanes) {
      const std::int64_t used = least(lanes, end - first);
      Joined channel[lanes];
      double mean[lanes], squares[lanes];
      for (std::int64_t p = 0; p < g.pixels; p += block_rows) {
        const std::int64_t height = least(block_rows, g.pixels - p);
        moments_of(from + p * g.channels + first, height, g.channels, used, mean, squares);
        for (std::int64_t l = 0; l < used; ++l) channel[l].join(static_cast<double>(height), mean[l], squares[l]);
      }
      for (std::int64_t l = 0; l < used; ++l) {
        const std::int64_t c = first + l;
        if (c % width == 0) group = Joined();
        group.join(channel[l].count, channel[l].mean, channel[l].squares);
        if (c % width != width - 1) continue;
        out[c / width] = static_cast<T>(group.mean);
        out[g.groups + c / width] = static_cast<T>(1 / Kokkos::sqrt(group.squares / count + eps));
      }
    }
  });
}

template <class T>
void group_norm_forward(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> moments, Span<const T> weight,
                        Span<const T> bias, Span<T> y) {
  const NormGroups g = shape;
  const bool affine = weight.data() != nullptr;
  for_elements(exec, "trireme::norm::group_norm_forward", n, g,
               KOKKOS_LAMBDA(std::int64_t row, std::int64_t p, std::int64_t c, std::int64_t mean, std::int64_t deviation) {
    const T z = (x(row * g.channels + c) - moments(mean)) * moments(deviation);
    const std::int64_t at = c * g.channel_stride + p * g.pixel_stride;
    y(row * g.channels + c) = affine ? z * weight(at) + bias(at) : z;
  });
}

std::int64_t group_sums_workspace(std::int64_t n, const NormGroups& shape) { return shape.pixel_stride != 0 ? 0 : n * 2 * shape.channels; }

namespace {

template <class T>
void host_group_sums(const Execution& exec, std::int64_t n, const NormGroups& g, Span<const T> x, Span<const T> dy, Span<const T> moments, Span<const T> weight,
                     Span<double> workspace, Span<T> sums) {
  const bool weighted = weight.data() != nullptr, varies = g.pixel_stride != 0;
  for_instances(exec, "trireme::norm::group_norm_sums", n, g, KOKKOS_LAMBDA(std::int64_t s, std::int64_t begin, std::int64_t end) {
    const std::int64_t start = s * g.pixels * g.channels, width = g.width();
    const T* const mean = moments.data() + s * 2 * g.groups;
    const T* const deviation = mean + g.groups;
    T* const out = sums.data() + s * 2 * g.groups;
    const double count = static_cast<double>(g.pixels * width);
    const bool list = is_one_list(g);
    double group_sum = 0, group_product = 0;
    if (list) {
      T sum[lanes] = {}, product[lanes] = {};
      std::int64_t summed = 0;
      for (std::int64_t p = 0; p < g.pixels; ++p)
        for (std::int64_t first = 0; first < g.channels; first += lanes) {
          const std::int64_t used = least(lanes, g.channels - first), at = start + p * g.channels + first;
          for (std::int64_t l = 0; l < used; ++l) {
            const T v = weighted ? dy(at + l) * weight((first + l) * g.channel_stride + p * g.pixel_stride) : dy(at + l);
            sum[l] += v;
            product[l] += v * (x(at + l) - mean[0]);
          }
          const bool last = p == g.pixels - 1 && first + lanes >= g.channels;
          if (++summed % block_rows != 0 && !last) continue;
          for (std::int64_t l = 0; l < lanes; ++l) {
            group_sum += static_cast<double>(sum[l]), group_product += static_cast<double>(product[l]);
            sum[l] = product[l] = T{};
          }
        }
    }
    for (std::int64_t first = begin; first < end && !list; first += lanes) {
      const std::int64_t used = least(lanes, end - first);
      double total[lanes] = {}, moment[lanes] = {};
      T m[lanes];
      for (std::int64_t l = 0; l < used; ++l) m[l] = mean[(first + l) / width];
      for (std::int64_t low = 0; low < g.pixels; low += block_rows) {
        T sum[lanes] = {}, product[lanes] = {};
        for (std::int64_t p = low; p < least(low + block_rows, g.pixels); ++p) {
          const std::int64_t at = start + p * g.channels + first;
          const T w = varies && weighted ? weight(p * g.pixel_stride) : T{1};
          for (std::int64_t l = 0; l < used; ++l) {
            const T v = w * dy(at + l);
            sum[l] += v;
            product[l] += v * (x(at + l) - m[l]);
          }
        }
        for (std::int64_t l = 0; l < used; ++l) total[l] += static_cast<double>(sum[l]), moment[l] += static_cast<double>(product[l]);
      }
      for (std::int64_t l = 0; l < used; ++l) {
        const std::int64_t c = first + l;
        const double w = weighted && !varies ? static_cast<double>(weight(c * g.channel_stride)) : 1;
        if (!varies) {
          workspace(s * 2 * g.channels + c) = total[l];
          workspace((s * 2 + 1) * g.channels + c) = moment[l] * static_cast<double>(deviation[c / width]);
        }
        if (c % width == 0) group_sum = group_product = 0;
        group_sum += w * total[l], group_product += w * moment[l];
        if (c % width != width - 1) continue;
        const double d = static_cast<double>(deviation[c / width]);
        out[c / width] = static_cast<T>(group_sum / count);
        out[g.groups + c / width] = static_cast<T>(group_product * d * d / count);
      }
    }
    if (!list) return;
    const double d = static_cast<double>(deviation[0]);
    out[0] = static_cast<T>(group_sum / count);
    out[1] = static_cast<T>(group_product * d * d / count);
  });
}

}  // namespace

template <class T>
void group_norm_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> dy, Span<const T> moments,
                     Span<const T> weight, Span<double> workspace, Span<T> sums, Span<T> dweight, Span<T> dbias) {
  const NormGroups g = shape;
  const bool varies = g.pixel_stride != 0;
  if constexpr (on_host) {
    host_group_sums<T>(exec, n, g, x, dy, moments, weight, workspace, sums);
  } else {
    device_group_sums<T>(exec, n, g, x, dy, moments, weight, sums);
    if (!varies && dweight.data() != nullptr) device_channel_parts<T>(exec, n, g, x, dy, moments, workspace);
  }
  if (dweight.data() == nullptr) return;
  if (!varies) {
    Kokkos::parallel_for("trireme::norm::channel_gradients", Range(exec, 0, g.channels), KOKKOS_LAMBDA(std::int64_t c) {
      double sum = 0, product = 0;
      for (std::int64_t s = 0; s < n; ++s) sum += workspace(s * 2 * g.channels + c), product += workspace((s * 2 + 1) * g.channels + c);
      dweight(c) += static_cast<T>(product);
      dbias(c) += static_cast<T>(sum);
    });
    return;
  }
  // A weight of each pixel is of all channels (stride 0) or of one.
  const bool shared = g.channel_stride == 0;
  const std::int64_t across = shared ? 1 : (g.channels + lanes - 1) / lanes;
  Kokkos::parallel_for("trireme::norm::pixel_gradients", Range(exec, 0, g.pixels * across), KOKKOS_LAMBDA(std::int64_t i) {
    const std::int64_t p = i / across, begin = i % across * lanes, end = shared ? g.channels : least(begin + lanes, g.channels);
    double sum[lanes] = {}, product[lanes] = {};
    for (std::int64_t s = 0; s < n; ++s)
      for (std::int64_t first = begin; first < end; first += lanes)
        for (std::int64_t l = 0; l < least(lanes, end - first); ++l) {
          const std::int64_t at = (s * g.pixels + p) * g.channels + first + l, mean = s * 2 * g.groups + (g.groups == 1 ? 0 : first + l);
          sum[l] += static_cast<double>(dy(at));
          product[l] += static_cast<double>(dy(at) * ((x(at) - moments(mean)) * moments(mean + g.groups)));
        }
    for (std::int64_t l = 0; l < least(lanes, end - begin); ++l) {
      dweight((begin + l) * g.channel_stride + p * g.pixel_stride) += static_cast<T>(product[l]);
      dbias((begin + l) * g.channel_stride + p * g.pixel_stride) += static_cast<T>(sum[l]);
    }
  });
}

template <class T>
void group_norm_backward(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> dy, Span<const T> moments,
                         Span<const T> weight, Span<const T> sums, Span<T> dx) {
  const NormGroups g = shape;
  const bool weighted = weight.data() != nullptr;
  for_elements(exec, "trireme::norm::group_norm_backward", n, g,
               KOKKOS_LAMBDA(std::int64_t row, std::int64_t p, std::int64_t c, std::int64_t mean, std::int64_t deviation) {
    const std::int64_t at = row * g.channels + c;
    const T v = weighted ? dy(at) * weight(c * g.channel_stride + p * g.pixel_stride) : dy(at);
    dx(at) = moments(deviation) * (v - sums(mean) - (x(at) - moments(mean)) * sums(deviation));
  });
}

template <class T>
void group_moments_to_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const T> moments, Span<double> sums) {
  const NormGroups g = shape;
  Kokkos::parallel_for("trireme::norm::group_moments_to_sums", Range(exec, 0, n * g.groups), KOKKOS_LAMBDA(std::int64_t i) {
    const std::int64_t at = i / g.groups * 2 * g.groups + i % g.groups;
    const double count = static_cast<double>(g.pixels * g.width()), mean = static_cast<double>(moments(at)),
                 deviation = static_cast<double>(moments(at + g.groups)), var = 1 / (deviation * deviation) - eps;
    sums(3 * i) = count;
    sums(3 * i + 1) = count * mean;
    sums(3 * i + 2) = count * ((var > 0 ? var : 0) + mean * mean);
  });
}

template <class T>
void group_moments_from_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const double> sums, Span<T> moments) {
  const NormGroups g = shape;
  Kokkos::parallel_for("trireme::norm::group_moments_from_sums", Range(exec, 0, n * g.groups), KOKKOS_LAMBDA(std::int64_t i) {
    const std::int64_t at = i / g.groups * 2 * g.groups + i % g.groups;
    const double mean = sums(3 * i + 1) / sums(3 * i), var = sums(3 * i + 2) / sums(3 * i) - mean * mean;
    moments(at) = static_cast<T>(mean);
    moments(at + g.groups) = static_cast<T>(1 / Kokkos::sqrt((var > 0 ? var : 0) + eps));
  });
}

template <class From, class To>
void convert_scaled(const Execution& exec, std::int64_t count, double factor, Span<const From> x, Span<To> y) {
  Kokkos::parallel_for("trireme::norm::convert_scaled", Range(exec, 0, count),
                       KOKKOS_LAMBDA(std::int64_t i) { y(i) = static_cast<To>(factor * static_cast<double>(x(i))); });
}

#define TRIREME_INSTANTIATE(T)                                                                                                                     \
  template void group_moments(const Execution&, std::int64_t, const NormGroups&, double, Span<const T>, Span<T>);                                  \
  template void group_norm_forward(const Execution&, std::int64_t, const NormGroups&, Span<const T>, Span<const T>, Span<const T>, Span<const T>,  \
                                   Span<T>);                                                                                                       \
  template void group_norm_sums(const Execution&, std::int64_t, const NormGroups&, Span<const T>, Span<const T>, Span<const T>, Span<const T>,     \
                                Span<double>, Span<T>, Span<T>, Span<T>);                                                                          \
  template void group_norm_backward(const Execution&, std::int64_t, const NormGroups&, Span<const T>, Span<const T>, Span<const T>, Span<const T>, \
                                    Span<const T>, Span<T>);                                                                              \
  template void group_moments_to_sums(const Execution&, std::int64_t, const NormGroups&, double, Span<const T>, Span<double>);         \
  template void group_moments_from_sums(const Execution&, std::int64_t, const NormGroups&, double, Span<const double>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE
template void convert_scaled(const Execution&, std::int64_t, double, Span<const float>, Span<double>);
template void convert_scaled(const Execution&, std::int64_t, double, Span<const double>, Span<float>);
template void convert_scaled(const Execution&, std::int64_t, double, Span<const double>, Span<double>);

}  // namespace trireme
