// Pooling against its definition: padding, overlap, NaN, many channels, windows of more than 256 places.
#include <boost/test/unit_test.hpp>

#include "kokkos_kernels/conv.hpp"
#include "kokkos_kernels/pool.hpp"
#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

PoolGeometry random_geometry(RandomStream& random, int i) {
  PoolGeometry g;
  g.channels = pick<std::int64_t>(random, {1, 2, 3, 31, 32, 33, 70});
  const int dims = 1 + i % 3;
  for (std::size_t a = static_cast<std::size_t>(3 - dims); a < 3; ++a) {
    g.kernel[a] = draw(random, 1, 4), g.stride[a] = draw(random, 1, 4), g.padding[a] = draw(random, 0, g.kernel[a] / 2);
    g.in[a] = draw(random, 1, dims == 3 ? 6 : 12);
  }
  if (i % 10 == 9) g.in = {1, 20, 21}, g.kernel = {1, 17, 16}, g.stride = {1, 2, 3}, g.padding = {0, 8, 3}, g.channels = 3;
  for (std::size_t a = 0; a < 3; ++a) {
    while (conv_extent(g.in[a], g.kernel[a], g.stride[a], g.padding[a], 1) < 1) ++g.in[a];
    g.out[a] = conv_extent(g.in[a], g.kernel[a], g.stride[a], g.padding[a], 1);
    g.behind[a] = g.padding[a];
  }
  return g;
}

std::string text(const PoolGeometry& g) {
  std::string t = "channels " + std::to_string(g.channels);
  for (std::size_t a = 0; a < 3; ++a)
    t += " | in " + std::to_string(g.in[a]) + " k " + std::to_string(g.kernel[a]) + " s " + std::to_string(g.stride[a]) + " p " + std::to_string(g.padding[a]);
  return t;
}

struct Window {
  std::vector<std::size_t> inputs;  // places inside the input, in order
  std::int64_t padded = 1;          // places inside the padded input
};

Window window_of(const PoolGeometry& g, std::size_t output) {
  const std::int64_t at = static_cast<std::int64_t>(output), c = at % g.channels, pixel = at / g.channels;
  const std::array<std::int64_t, 3> o{pixel / (g.out[1] * g.out[2]) % g.out[0], pixel / g.out[2] % g.out[1], pixel % g.out[2]};
  const std::int64_t s = pixel / g.out_pixels();
  Window w;
  std::array<std::int64_t, 3> k, i;
  for (std::size_t a = 0; a < 3; ++a) {
    const std::int64_t start = o[a] * g.stride[a] - g.padding[a];
    w.padded *= std::min(start + g.kernel[a], g.in[a] + g.padding[a]) - start;
  }
  for (k[0] = 0; k[0] < g.kernel[0]; ++k[0])
    for (k[1] = 0; k[1] < g.kernel[1]; ++k[1])
      for (k[2] = 0; k[2] < g.kernel[2]; ++k[2]) {
        bool inside = true;
        for (std::size_t a = 0; a < 3; ++a) {
          i[a] = o[a] * g.stride[a] - g.padding[a] + k[a];
          inside = inside && i[a] >= 0 && i[a] < g.in[a];
        }
        if (inside) w.inputs.push_back(static_cast<std::size_t>((((s * g.in[0] + i[0]) * g.in[1] + i[1]) * g.in[2] + i[2]) * g.channels + c));
      }
  return w;
}

template <class T>
void check_max(const PoolGeometry& g, std::int64_t n, RandomStream& random, bool with_nan) {
  auto x = random_numbers<T>(random, n * g.in_pixels() * g.channels);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = std::round(x[i] * 8) / 8 - 2;  // ties; and always below what a padding of 0 would be
    if (with_nan && random.below(10) == 0) x[i] = std::numeric_limits<T>::quiet_NaN();
  }
  const auto dy = random_numbers<T>(random, n * g.out_pixels() * g.channels);
  std::vector<T> y(dy.size());
  std::vector<double> dx(x.size());
  for (std::size_t o = 0; o < y.size(); ++o) {
    const auto places = window_of(g, o).inputs;
    std::size_t best = places.front();
    for (const std::size_t i : places)
      if (x[i] > x[best] || std::isnan(x[i])) best = i;  // as PyTorch: the last NaN wins
    y[o] = x[best];
    dx[best] += static_cast<double>(dy[o]);
  }
  const std::int64_t outputs = static_cast<std::int64_t>(y.size());
  const Guarded<T> dev_x(x), dev_dy(dy), found_y(outputs), found_dx(static_cast<std::int64_t>(x.size())), inferred(outputs);
  const Guarded<std::uint8_t> index(outputs * max_pool_index_bytes(g));
  const Execution exec;
  max_pool_forward<T>(exec, g, n, dev_x, found_y, index);
  max_pool_forward<T>(exec, g, n, dev_x, inferred, Span<std::uint8_t>());
  max_pool_backward<T>(exec, g, n, dev_dy, index, found_dx);
  BOOST_TEST(distance(found_y.values(), y) == 0.0);
  BOOST_TEST(distance(inferred.values(), y) == 0.0);
  BOOST_TEST(distance(found_dx.values(), dx, 1) <= rounding<T>);
  BOOST_TEST((found_y.guards_hold() && inferred.guards_hold() && found_dx.guards_hold() && index.guards_hold()));
}

template <class T>
void check_avg(const PoolGeometry& g, std::int64_t n, RandomStream& random, bool count_padding) {
  const auto x = random_numbers<T>(random, n * g.in_pixels() * g.channels), dy = random_numbers<T>(random, n * g.out_pixels() * g.channels);
  std::vector<double> y(dy.size()), dx(x.size());
  for (std::size_t o = 0; o < y.size(); ++o) {
    const Window w = window_of(g, o);
    const double divisor = count_padding ? static_cast<double>(w.padded) : static_cast<double>(w.inputs.size());
    for (const std::size_t i : w.inputs) {
      y[o] += static_cast<double>(x[i]) / divisor;
      dx[i] += static_cast<double>(dy[o]) / divisor;
    }
  }
  const Guarded<T> dev_x(x), dev_dy(dy), found_y(static_cast<std::int64_t>(y.size())), found_dx(static_cast<std::int64_t>(x.size()));
  const Execution exec;
  avg_pool_forward<T>(exec, g, n, dev_x, found_y, count_padding);
  avg_pool_backward<T>(exec, g, n, dev_dy, found_dx, count_padding);
  BOOST_TEST(distance(found_y.values(), y, 1) <= rounding<T>);
  BOOST_TEST(distance(found_dx.values(), dx, 1) <= rounding<T>);
  BOOST_TEST((found_y.guards_hold() && found_dx.guards_hold()));
}

template <class T>
void check_all(std::uint64_t seed) {
  RandomStream random(seed, sizeof(T));
  for (int i = 0; i < 90; ++i) {
    const PoolGeometry g = random_geometry(random, i);
    const std::int64_t n = draw(random, 0, 3);
    BOOST_TEST_CONTEXT("seed " << seed << " case " << i << ", " << sizeof(T) << "-byte, n " << n << ", " << text(g)) {
      check_max<T>(g, n, random, false);
      check_max<T>(g, n, random, true);
      check_avg<T>(g, n, random, true);
      check_avg<T>(g, n, random, false);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pools)

BOOST_AUTO_TEST_CASE(equal_their_definition) {
  check_all<double>(test_seed());
  check_all<float>(test_seed());
}

BOOST_AUTO_TEST_CASE(an_index_fits_its_bytes) {
  PoolGeometry g;
  g.kernel = {1, 16, 16};
  BOOST_TEST(max_pool_index_bytes(g) == 1);
  g.kernel = {1, 1, 257};
  BOOST_TEST(max_pool_index_bytes(g) == 2);
}

BOOST_AUTO_TEST_SUITE_END()
