// Group normalization, forward: moments of the groups, and y from them. norm.hpp has the mathematics, detail/group_norm.hpp the blocks.
#include "kokkos_kernels/detail/group_norm.hpp"

namespace trireme {

using detail::block_rows;
using detail::column_blocks;
using detail::element_of;
using detail::for_elements;
using detail::Joined;
using detail::lanes;
using detail::least;

namespace {

template <class T>
KOKKOS_INLINE_FUNCTION void moments_of(const T* x, std::int64_t rows, std::int64_t stride, std::int64_t used, double* mean, double* squares) {
  if (used == lanes)
    detail::column_moments<T, lanes>(x, rows, stride, used, mean, squares);
  else
    detail::column_moments<T, 0>(x, rows, stride, used, mean, squares);
}

// Blocks of an instance that is one list: full registers of numbers, and one with the rest.
std::int64_t list_blocks(const NormGroups& g) {
  const std::int64_t count = g.pixels * g.channels;
  return detail::blocks_of(count / lanes) + (count % lanes > 0 ? 1 : 0);
}

template <class T>
void host_list_moments(const Execution& exec, std::int64_t n, const NormGroups& g, double eps, Span<const T> x, Span<double> workspace, Span<T> moments) {
  const std::int64_t count = g.pixels * g.channels, rows = count / lanes, rest = count % lanes, blocks = list_blocks(g);
  Kokkos::parallel_for(
      "trireme::norm::list_moments", Range(exec, 0, n * blocks), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t row = i % blocks * block_rows;
        const T* const from = x.data() + i / blocks * count + least(row, rows) * lanes;
        double* const out = workspace.data() + i * 2 * lanes;
        if (row < rows)
          moments_of(from, least(block_rows, rows - row), lanes, lanes, out, out + lanes);
        else
          moments_of(from, 1, lanes, rest, out, out + lanes);
      });
  Kokkos::parallel_for(
      "trireme::norm::joined_list_moments", Range(exec, 0, n), KOKKOS_LAMBDA(std::int64_t s) {
        Joined all;
        for (std::int64_t block = 0; block < blocks; ++block) {
          const std::int64_t row = block * block_rows, used = row < rows ? lanes : rest;
          const double height = row < rows ? static_cast<double>(least(block_rows, rows - row)) : 1;
          const double* const part = workspace.data() + (s * blocks + block) * 2 * lanes;
          for (std::int64_t l = 0; l < used; ++l) all.join(height, part[l], part[lanes + l]);
        }
        moments(2 * s) = static_cast<T>(all.mean);
        moments(2 * s + 1) = static_cast<T>(1 / Kokkos::sqrt(all.squares / static_cast<double>(count) + eps));
      });
}

template <class T>
void host_column_moments(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const T> x, Span<double> workspace, Span<T> moments) {
  const NormGroups g = shape;
  const std::int64_t blocks = column_blocks(g), across = (g.channels + lanes - 1) / lanes;
  Kokkos::parallel_for(
      "trireme::norm::group_moments", Range(exec, 0, n * blocks * across), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t first = i % across * lanes, at = i / across, p = at % blocks * block_rows;
        double* const out = workspace.data() + at * 2 * g.channels + first;
        moments_of(x.data() + (at / blocks * g.pixels + p) * g.channels + first, least(block_rows, g.pixels - p), g.channels, least(lanes, g.channels - first),
                   out, out + g.channels);
      });
  Kokkos::parallel_for(
      "trireme::norm::joined_group_moments", Range(exec, 0, n * g.groups), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t s = i / g.groups, group = i % g.groups, width = g.width();
        Joined all;
        for (std::int64_t c = group * width; c < (group + 1) * width; ++c) {
          Joined channel;
          for (std::int64_t block = 0; block < blocks; ++block) {
            const double* const part = workspace.data() + (s * blocks + block) * 2 * g.channels + c;
            channel.join(static_cast<double>(least(block_rows, g.pixels - block * block_rows)), part[0], part[g.channels]);
          }
          all.join(channel.count, channel.mean, channel.squares);
        }
        T* const out = moments.data() + s * 2 * g.groups + group;
        out[0] = static_cast<T>(all.mean);
        out[g.groups] = static_cast<T>(1 / Kokkos::sqrt(all.squares / static_cast<double>(g.pixels * width) + eps));
      });
}

// On a device a team has a group of a sample.
template <class T>
void device_moments(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const T> x, Span<T> moments) {
  const NormGroups g = shape;
  if (n == 0) return;
  Kokkos::parallel_for(
      "trireme::norm::group_moments", Team(exec, static_cast<int>(n * g.groups), 256), KOKKOS_LAMBDA(const Team::member_type& team) {
        const std::int64_t s = team.league_rank() / g.groups, group = team.league_rank() % g.groups, elements = g.pixels * g.width();
        const T* const from = x.data() + s * g.pixels * g.channels;
        const T center = from[element_of(g, group, 0)];
        double sum = 0, square = 0;
        Kokkos::parallel_reduce(
            Kokkos::TeamThreadRange(team, elements), [&](std::int64_t e, double& all) { all += static_cast<double>(from[element_of(g, group, e)] - center); },
            sum);
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

}  // namespace

std::int64_t group_moments_workspace(std::int64_t n, const NormGroups& g) {
  if (!on_host) return 0;
  return detail::is_one_list(g) ? n * list_blocks(g) * 2 * lanes : n * column_blocks(g) * 2 * g.channels;
}

template <class T>
void group_moments(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const T> x, Span<double> workspace, Span<T> moments) {
  if constexpr (!on_host)
    device_moments<T>(exec, n, shape, eps, x, moments);
  else if (detail::is_one_list(shape))
    host_list_moments<T>(exec, n, shape, eps, x, workspace, moments);
  else
    host_column_moments<T>(exec, n, shape, eps, x, workspace, moments);
}

template <class T>
void group_norm_forward(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> moments, Span<const T> weight,
                        Span<const T> bias, Span<T> y) {
  const NormGroups g = shape;
  const bool affine = weight.data() != nullptr;
  for_elements(
      exec, "trireme::norm::group_norm_forward", n, g,
      KOKKOS_LAMBDA(std::int64_t row, std::int64_t p, std::int64_t c, std::int64_t mean, std::int64_t inv_std) {
        const T z = (x(row * g.channels + c) - moments(mean)) * moments(inv_std);
        const std::int64_t at = c * g.channel_stride + p * g.pixel_stride;
        y(row * g.channels + c) = affine ? z * weight(at) + bias(at) : z;
      });
}

template <class T>
void group_moments_to_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const T> moments, Span<double> sums) {
  const NormGroups g = shape;
  Kokkos::parallel_for(
      "trireme::norm::group_moments_to_sums", Range(exec, 0, n * g.groups), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t at = i / g.groups * 2 * g.groups + i % g.groups;
        const double count = static_cast<double>(g.pixels * g.width()), mean = static_cast<double>(moments(at)),
                     inv_std = static_cast<double>(moments(at + g.groups)), var = 1 / (inv_std * inv_std) - eps;
        sums(3 * i) = count;
        sums(3 * i + 1) = count * mean;
        sums(3 * i + 2) = count * ((var > 0 ? var : 0) + mean * mean);
      });
}

template <class T>
void group_moments_from_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const double> sums, Span<T> moments) {
  const NormGroups g = shape;
  Kokkos::parallel_for(
      "trireme::norm::group_moments_from_sums", Range(exec, 0, n * g.groups), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t at = i / g.groups * 2 * g.groups + i % g.groups;
        const double mean = sums(3 * i + 1) / sums(3 * i), var = sums(3 * i + 2) / sums(3 * i) - mean * mean;
        moments(at) = static_cast<T>(mean);
        moments(at + g.groups) = static_cast<T>(1 / Kokkos::sqrt((var > 0 ? var : 0) + eps));
      });
}

template <class From, class To>
void convert_scaled(const Execution& exec, std::int64_t count, double factor, Span<const From> x, Span<To> y) {
  Kokkos::parallel_for(
      "trireme::norm::convert_scaled", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) { y(i) = static_cast<To>(factor * static_cast<double>(x(i))); });
}

#define TRIREME_INSTANTIATE(T)                                                                                                                              \
  template void group_moments(const Execution&, std::int64_t, const NormGroups&, double, Span<const T>, Span<double>, Span<T>);                             \
  template void group_norm_forward(const Execution&, std::int64_t, const NormGroups&, Span<const T>, Span<const T>, Span<const T>, Span<const T>, Span<T>); \
  template void group_moments_to_sums(const Execution&, std::int64_t, const NormGroups&, double, Span<const T>, Span<double>);                              \
  template void group_moments_from_sums(const Execution&, std::int64_t, const NormGroups&, double, Span<const double>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE
template void convert_scaled(const Execution&, std::int64_t, double, Span<const float>, Span<double>);
template void convert_scaled(const Execution&, std::int64_t, double, Span<const double>, Span<float>);
template void convert_scaled(const Execution&, std::int64_t, double, Span<const double>, Span<double>);

}  // namespace trireme
