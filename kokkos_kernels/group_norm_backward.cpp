// Group normalization, backward: the two sums of each group, the gradients of weight and bias, and dx from them. norm.hpp has the mathematics,
// detail/group_norm.hpp the blocks.
#include "kokkos_kernels/detail/column_teams.hpp"
#include "kokkos_kernels/detail/group_norm.hpp"

namespace trireme {

using detail::block_rows;
using detail::column_blocks;
using detail::element_of;
using detail::for_elements;
using detail::lanes;
using detail::least;

namespace {

// Registers of an instance that is one list: each pixel begins a new one.
KOKKOS_INLINE_FUNCTION std::int64_t registers_of(const NormGroups& g) { return g.pixels * ((g.channels + lanes - 1) / lanes); }

template <class T>
void host_list_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> dy, Span<const T> moments,
                    Span<const T> weight, Span<double> workspace, Span<T> sums) {
  const NormGroups g = shape;
  const bool weighted = weight.data() != nullptr;
  const std::int64_t registers = registers_of(g), blocks = detail::blocks_of(registers), across = (g.channels + lanes - 1) / lanes;
  Kokkos::parallel_for(
      "trireme::norm::list_sums", Range(exec, 0, n * blocks), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t s = i / blocks, begin = i % blocks * block_rows, end = least(begin + block_rows, registers);
        const T mean = moments(2 * s);
        T sum[lanes] = {}, product[lanes] = {};
        std::int64_t p = begin / across, first = begin % across * lanes;
        for (std::int64_t at = begin; at < end; ++at) {
          const std::int64_t used = least(lanes, g.channels - first), from = (s * g.pixels + p) * g.channels + first;
          for (std::int64_t l = 0; l < used; ++l) {
            const T v = weighted ? dy(from + l) * weight((first + l) * g.channel_stride + p * g.pixel_stride) : dy(from + l);
            sum[l] += v;
            product[l] += v * (x(from + l) - mean);
          }
          first += lanes;
          if (first >= g.channels) first = 0, ++p;
        }
        double* const out = workspace.data() + i * 2 * lanes;
        for (std::int64_t l = 0; l < lanes; ++l) out[l] = static_cast<double>(sum[l]), out[lanes + l] = static_cast<double>(product[l]);
      });
  Kokkos::parallel_for(
      "trireme::norm::joined_list_sums", Range(exec, 0, n), KOKKOS_LAMBDA(std::int64_t s) {
        double sum = 0, product = 0;
        for (std::int64_t block = 0; block < blocks; ++block) {
          const double* const part = workspace.data() + (s * blocks + block) * 2 * lanes;
          for (std::int64_t l = 0; l < lanes; ++l) sum += part[l], product += part[lanes + l];
        }
        const double count = static_cast<double>(g.pixels * g.channels), d = static_cast<double>(moments(2 * s + 1));
        sums(2 * s) = static_cast<T>(sum / count);
        sums(2 * s + 1) = static_cast<T>(product * d * d / count);
      });
}

// Leaves in the first block's part of the workspace the sums over all pixels of dy, and of dy (x - mean) inv_std, where weights do not vary with the pixel.
template <class T>
void host_column_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> dy, Span<const T> moments,
                      Span<const T> weight, Span<double> workspace, Span<T> sums) {
  const NormGroups g = shape;
  const bool weighted = weight.data() != nullptr, varies = g.pixel_stride != 0;
  const std::int64_t blocks = column_blocks(g), across = (g.channels + lanes - 1) / lanes;
  Kokkos::parallel_for(
      "trireme::norm::group_norm_sums", Range(exec, 0, n * blocks * across), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t first = i % across * lanes, at = i / across, s = at / blocks, low = at % blocks * block_rows, width = g.width();
        const std::int64_t used = least(lanes, g.channels - first);
        T m[lanes], sum[lanes] = {}, product[lanes] = {};
        for (std::int64_t l = 0; l < used; ++l) m[l] = moments(s * 2 * g.groups + (first + l) / width);
        for (std::int64_t p = low; p < least(low + block_rows, g.pixels); ++p) {
          const std::int64_t from = (s * g.pixels + p) * g.channels + first;
          const T w = varies && weighted ? weight(p * g.pixel_stride) : T{1};
          for (std::int64_t l = 0; l < used; ++l) {
            const T v = w * dy(from + l);
            sum[l] += v;
            product[l] += v * (x(from + l) - m[l]);
          }
        }
        double* const out = workspace.data() + at * 2 * g.channels + first;
        for (std::int64_t l = 0; l < used; ++l) out[l] = static_cast<double>(sum[l]), out[g.channels + l] = static_cast<double>(product[l]);
      });
  Kokkos::parallel_for(
      "trireme::norm::joined_group_sums", Range(exec, 0, n * g.groups), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t s = i / g.groups, group = i % g.groups, width = g.width();
        const double inv_std = static_cast<double>(moments(s * 2 * g.groups + g.groups + group)), count = static_cast<double>(g.pixels * width);
        double group_sum = 0, group_product = 0;
        for (std::int64_t c = group * width; c < (group + 1) * width; ++c) {
          double sum = 0, product = 0;
          double* const parts = workspace.data() + s * blocks * 2 * g.channels + c;
          for (std::int64_t block = 0; block < blocks; ++block) sum += parts[2 * block * g.channels], product += parts[(2 * block + 1) * g.channels];
          const double w = weighted && !varies ? static_cast<double>(weight(c * g.channel_stride)) : 1;
          if (!varies) parts[0] = sum, parts[g.channels] = product * inv_std;
          group_sum += w * sum, group_product += w * product;
        }
        T* const out = sums.data() + s * 2 * g.groups + group;
        out[0] = static_cast<T>(group_sum / count);
        out[g.groups] = static_cast<T>(group_product * inv_std * inv_std / count);
      });
}

// Sums of g = weight dy and of g (x - mean) over each group.
template <class T>
void device_group_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> dy, Span<const T> moments,
                       Span<const T> weight, Span<T> sums) {
  const NormGroups g = shape;
  const bool weighted = weight.data() != nullptr;
  if (n == 0) return;
  Kokkos::parallel_for(
      "trireme::norm::group_norm_sums", Team(exec, static_cast<int>(n * g.groups), 256), KOKKOS_LAMBDA(const Team::member_type& team) {
        const std::int64_t s = team.league_rank() / g.groups, group = team.league_rank() % g.groups, elements = g.pixels * g.width(),
                           start = s * g.pixels * g.channels;
        const T mean = moments(s * 2 * g.groups + group);
        const double count = static_cast<double>(elements), inv_std = static_cast<double>(moments(s * 2 * g.groups + g.groups + group));
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
          out[g.groups] = static_cast<T>(product * inv_std * inv_std / count);
        });
      });
}

// workspace (n, 2, channels): sums over pixels of dy, and of dy (x - mean) deviation.
template <class T>
void device_channel_parts(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> dy, Span<const T> moments,
                          Span<double> workspace) {
  const NormGroups g = shape;
  const auto take = KOKKOS_LAMBDA(std::int64_t s, std::int64_t c, std::int64_t first, std::int64_t step, std::int64_t last, double(&mine)[2]) {
    const T mean = moments(s * 2 * g.groups + c / g.width());
    T sum{}, product{};
    for (std::int64_t p = first; p < last; p += step) {
      const std::int64_t at = (s * g.pixels + p) * g.channels + c;
      sum += dy(at);
      product += dy(at) * (x(at) - mean);
    }
    mine[0] = static_cast<double>(sum), mine[1] = static_cast<double>(product);
  };
  const auto give = KOKKOS_LAMBDA(std::int64_t s, std::int64_t, std::int64_t c, const double(&all)[2]) {
    workspace(s * 2 * g.channels + c) = all[0];
    workspace((s * 2 + 1) * g.channels + c) = all[1] * static_cast<double>(moments(s * 2 * g.groups + g.groups + c / g.width()));
  };
  detail::for_column_sums<2>(exec, "trireme::norm::channel_parts", detail::ColumnTeams::whole(g.pixels, g.channels), n, take, give);
}

}  // namespace

std::int64_t group_sums_workspace(std::int64_t n, const NormGroups& g) {
  if (!on_host) return g.pixel_stride != 0 ? 0 : n * 2 * g.channels;
  return detail::is_one_list(g) ? n * detail::blocks_of(registers_of(g)) * 2 * lanes : n * column_blocks(g) * 2 * g.channels;
}

template <class T>
void group_norm_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> dy, Span<const T> moments,
                     Span<const T> weight, Span<double> workspace, Span<T> sums, Span<T> dweight, Span<T> dbias) {
  const NormGroups g = shape;
  const bool varies = g.pixel_stride != 0;
  if constexpr (!on_host) {
    device_group_sums<T>(exec, n, g, x, dy, moments, weight, sums);
    if (!varies && dweight.data() != nullptr) device_channel_parts<T>(exec, n, g, x, dy, moments, workspace);
  } else if (detail::is_one_list(g)) {
    host_list_sums<T>(exec, n, g, x, dy, moments, weight, workspace, sums);
  } else {
    host_column_sums<T>(exec, n, g, x, dy, moments, weight, workspace, sums);
  }
  if (dweight.data() == nullptr) return;
  if (!varies) {
    const std::int64_t stride = column_blocks(g) * 2 * g.channels;
    Kokkos::parallel_for(
        "trireme::norm::channel_gradients", Range(exec, 0, g.channels), KOKKOS_LAMBDA(std::int64_t c) {
          double sum = 0, product = 0;
          for (std::int64_t s = 0; s < n; ++s) sum += workspace(s * stride + c), product += workspace(s * stride + g.channels + c);
          dweight(c) += static_cast<T>(product);
          dbias(c) += static_cast<T>(sum);
        });
    return;
  }
  // A weight of each pixel is of all channels (stride 0) or of one.
  const bool shared = g.channel_stride == 0;
  const std::int64_t across = shared ? 1 : (g.channels + lanes - 1) / lanes;
  Kokkos::parallel_for(
      "trireme::norm::pixel_gradients", Range(exec, 0, g.pixels * across), KOKKOS_LAMBDA(std::int64_t i) {
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
  for_elements(
      exec, "trireme::norm::group_norm_backward", n, g,
      KOKKOS_LAMBDA(std::int64_t row, std::int64_t p, std::int64_t c, std::int64_t mean, std::int64_t inv_std) {
        const std::int64_t at = row * g.channels + c;
        const T v = weighted ? dy(at) * weight(c * g.channel_stride + p * g.pixel_stride) : dy(at);
        dx(at) = moments(inv_std) * (v - sums(mean) - (x(at) - moments(mean)) * sums(inv_std));
      });
}

#define TRIREME_INSTANTIATE(T)                                                                                                                               \
  template void group_norm_sums(const Execution&, std::int64_t, const NormGroups&, Span<const T>, Span<const T>, Span<const T>, Span<const T>, Span<double>, \
                                Span<T>, Span<T>, Span<T>);                                                                                                  \
  template void group_norm_backward(const Execution&, std::int64_t, const NormGroups&, Span<const T>, Span<const T>, Span<const T>, Span<const T>,           \
                                    Span<const T>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
