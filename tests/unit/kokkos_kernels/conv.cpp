// Convolution against its definition over random geometry.
#include "kokkos_kernels/conv.hpp"

#include <boost/test/unit_test.hpp>

#include "kokkos_kernels/activation.hpp"
#include "kokkos_kernels/pool.hpp"
#include "operands.hpp"
#include "support/arrays.hpp"
#if !defined(KOKKOS_ENABLE_CUDA)
#include "kokkos_kernels/detail/winograd.hpp"
#endif

using namespace trireme;
using namespace trireme::test;

namespace {

void complete(ConvGeometry& g) {
  for (std::size_t a = 0; a < 3; ++a) {
    while (conv_extent(g.in[a], g.kernel[a], g.stride[a], g.padding[a], g.dilation[a]) < 1) ++g.in[a];
    g.out[a] = conv_extent(g.in[a], g.kernel[a], g.stride[a], g.padding[a], g.dilation[a]);
  }
}

ConvGeometry random_geometry(RandomStream& random, int i) {
  ConvGeometry g;
  g.groups = i % 2 ? 1 : draw(random, 1, 4);
  g.in_channels = g.groups * draw(random, 1, i % 3 == 0 ? 20 : 5);
  g.out_channels = g.groups * draw(random, 1, i % 3 == 1 ? 35 : 9);
  const int dims = 1 + i % 3;
  for (std::size_t a = static_cast<std::size_t>(3 - dims); a < 3; ++a) {
    g.in[a] = draw(random, 1, dims == 3 ? 7 : 15);
    g.kernel[a] = draw(random, 1, 4), g.stride[a] = draw(random, 1, 3);
    g.padding[a] = draw(random, 0, 3), g.dilation[a] = draw(random, 1, 3);
  }
  complete(g);
  return g;
}

// Such as Winograd's filtering can take: kernels of 3x3, 3x3x3 and, in three dimensions, 1x3x3, whole registers of channels.
ConvGeometry small_kernel_geometry(RandomStream& random, int i) {
  ConvGeometry g;
  g.in_channels = 16 * draw(random, 1, 3), g.out_channels = 16 * draw(random, 1, 3);
  const bool deep = i % 3 != 0;
  if (deep) g.in[0] = draw(random, 1, 7);
  if (i % 3 == 1) g.kernel[0] = 3, g.padding[0] = draw(random, 0, 2);
  for (std::size_t a = 1; a < 3; ++a) g.in[a] = draw(random, 2, deep ? 9 : 19), g.kernel[a] = 3, g.padding[a] = draw(random, 0, 2);
  complete(g);
  return g;
}

std::string text(const ConvGeometry& g) {
  std::string t = "channels " + std::to_string(g.in_channels) + " -> " + std::to_string(g.out_channels) + " groups " + std::to_string(g.groups);
  for (std::size_t a = 0; a < 3; ++a)
    t += " | in " + std::to_string(g.in[a]) + " k " + std::to_string(g.kernel[a]) + " s " + std::to_string(g.stride[a]) + " p " + std::to_string(g.padding[a]) +
         " d " + std::to_string(g.dilation[a]);
  return t;
}

// Calls f(x index, weight index, y index) for every multiply-add of the definition.
template <class F>
void for_products(const ConvGeometry& g, std::int64_t n, const F& f) {
  const std::int64_t icg = g.in_channels / g.groups, ocg = g.out_channels / g.groups;
  std::array<std::int64_t, 3> o, k, i;
  for (std::int64_t s = 0; s < n; ++s)
    for (o[0] = 0; o[0] < g.out[0]; ++o[0])
      for (o[1] = 0; o[1] < g.out[1]; ++o[1])
        for (o[2] = 0; o[2] < g.out[2]; ++o[2])
          for (k[0] = 0; k[0] < g.kernel[0]; ++k[0])
            for (k[1] = 0; k[1] < g.kernel[1]; ++k[1])
              for (k[2] = 0; k[2] < g.kernel[2]; ++k[2]) {
                bool inside = true;
                for (std::size_t a = 0; a < 3; ++a) {
                  i[a] = o[a] * g.stride[a] - g.padding[a] + k[a] * g.dilation[a];
                  inside = inside && i[a] >= 0 && i[a] < g.in[a];
                }
                if (!inside) continue;
                const std::int64_t from = (((s * g.in[0] + i[0]) * g.in[1] + i[1]) * g.in[2] + i[2]) * g.in_channels;
                const std::int64_t to = (((s * g.out[0] + o[0]) * g.out[1] + o[1]) * g.out[2] + o[2]) * g.out_channels;
                const std::int64_t tap = (k[0] * g.kernel[1] + k[1]) * g.kernel[2] + k[2];
                for (std::int64_t m = 0; m < g.out_channels; ++m)
                  for (std::int64_t c = 0; c < icg; ++c)
                    f(static_cast<std::size_t>(from + m / ocg * icg + c), static_cast<std::size_t>((m * icg + c) * g.taps() + tap),
                      static_cast<std::size_t>(to + m));
              }
}

template <class T>
struct Tensors {
  std::vector<T> x, w, bias, dy, dw, dbias;  // dw and dbias: what the gradients are added to
  Tensors(const ConvGeometry& g, std::int64_t n, RandomStream& random)
      : x(random_numbers<T>(random, n * g.in_pixels() * g.in_channels)),
        w(random_numbers<T>(random, g.weights())),
        bias(random_numbers<T>(random, g.out_channels)),
        dy(random_numbers<T>(random, n * g.out_pixels() * g.out_channels)),
        dw(random_numbers<T>(random, g.weights())),
        dbias(random_numbers<T>(random, g.out_channels)) {}
};

template <class T>
void check(const ConvPlan<T>& plan, std::int64_t n, RandomStream& random) {
  const ConvGeometry& g = plan.geometry();
  const Tensors<T> t(g, n, random);
  std::vector<double> y(t.dy.size()), dx(t.x.size()), dw(t.dw.begin(), t.dw.end()), dbias(t.dbias.begin(), t.dbias.end());
  const auto taken = [&](T value) { return static_cast<double>(as_operand(value, plan.operands())); };
  for_products(g, n, [&](std::size_t i, std::size_t k, std::size_t o) {
    y[o] += taken(t.x[i]) * taken(t.w[k]);
    dx[i] += taken(t.dy[o]) * taken(t.w[k]);
    dw[k] += taken(t.dy[o]) * taken(t.x[i]);
  });
  std::vector<double> with_bias(y.size()), with_relu(y.size());
  for (std::size_t o = 0; o < y.size(); ++o) {
    const std::size_t m = o % t.bias.size();
    with_bias[o] = y[o] + static_cast<double>(t.bias[m]);
    with_relu[o] = std::max(0.0, with_bias[o]);
    dbias[m] += on_host ? taken(t.dy[o]) : static_cast<double>(t.dy[o]);
  }

  const Execution exec;
  const Guarded<T> x(t.x), w(t.w), bias(t.bias), dy(t.dy), found_dw(t.dw), found_dbias(t.dbias);
  const Guarded<T> found_y(static_cast<std::int64_t>(y.size())), found_dx(static_cast<std::int64_t>(dx.size()));
  Guarded<T> workspace(plan.workspace(n));
  const auto holds = [&](const Guarded<T>& found, const std::vector<double>& expected, const char* what) {
    BOOST_TEST(distance(found.values(), expected, 1) <= product_rounding<T>(plan.operands()),
               what << ": relative error " << distance(found.values(), expected, 1));
    BOOST_TEST(found.guards_hold(), what << " was written beyond its end");
    BOOST_TEST(workspace.guards_hold(), what << ": the workspace was written beyond its end");
    workspace.spoil();
  };
  const Span<std::uint8_t> no_index;
  plan.forward(exec, n, x, w, Span<const T>(), found_y, no_index, workspace);
  holds(found_y, y, "forward without bias");
  plan.forward(exec, n, x, w, bias, found_y, no_index, workspace);
  holds(found_y, with_bias, "forward");
  ConvPlan<T>(g, {.slope = 0}, plan.operands()).forward(exec, n, x, w, bias, found_y, no_index, workspace);
  holds(found_y, with_relu, "forward with relu");
  const ConvGradient<T> gradient{.dy = dy, .y = {}, .index = {}};
  plan.backward_data(exec, n, gradient, w, found_dx, workspace);
  holds(found_dx, dx, "backward_data");
  plan.backward_weights(exec, n, x, gradient, found_dw, found_dbias, workspace);
  holds(found_dw, dw, "backward_weights");
  holds(found_dbias, dbias, "gradient of the bias");
  const Guarded<T> alone(t.dw);
  plan.backward_weights(exec, n, x, gradient, alone, Span<T>(), workspace);
  holds(alone, dw, "backward_weights without bias");
  if (n == 0) {
    BOOST_TEST(same_bits(found_dw.values(), t.dw));
    BOOST_TEST(same_bits(found_dbias.values(), t.dbias));
  }
}

template <class T>
void check_random(std::uint64_t seed) {
  RandomStream random(seed, sizeof(T));
  for (int i = 0; i < 150; ++i) {
    const ConvGeometry g = random_geometry(random, i);
    const ConvPlan<T> plan(g);
    for (const std::int64_t n : {draw(random, 2, 5), std::int64_t{1}, std::int64_t{0}})
      BOOST_TEST_CONTEXT("seed " << seed << " case " << i << ", " << sizeof(T) << "-byte, n " << n << ", " << text(g)) { check(plan, n, random); }
  }
}

template <class T>
void check_small_kernels(std::uint64_t seed) {
  RandomStream random(seed, 300 + sizeof(T));
  int filtered = 0;
  for (int i = 0; i < 24; ++i) {
    const ConvGeometry g = small_kernel_geometry(random, i);
    const ConvPlan<T> plan(g);
#if !defined(KOKKOS_ENABLE_CUDA)
    filtered += detail::Winograd<T>::pays(g);
#endif
    for (const std::int64_t n : {draw(random, 1, 3), std::int64_t{0}})
      BOOST_TEST_CONTEXT("seed " << seed << " case " << i << ", " << sizeof(T) << "-byte, n " << n << ", " << text(g)) { check(plan, n, random); }
  }
  if (on_host) BOOST_TEST(filtered >= 8, filtered << " of 24 cases take Winograd's way");
  ConvGeometry large;  // several blocks of rows of tiles and chunks of the weight gradient
  large.in_channels = 32, large.out_channels = 48, large.in = {1, 37, 41}, large.kernel = {1, 3, 3}, large.padding = {0, 1, 1};
  complete(large);
  BOOST_TEST_CONTEXT("seed " << seed << ", " << sizeof(T) << "-byte, " << text(large)) { check(ConvPlan<T>(large), 4, random); }
}

// A tail that pools against the same steps one after the other, which tests of their own compare with their definitions.
template <class T>
void check_tail(const ConvGeometry& g, const Epilogue& tail, std::int64_t n, RandomStream& random) {
  const Tensors<T> t(g, n, random);
  PoolGeometry pool;
  pool.channels = g.out_channels, pool.in = g.out, pool.kernel = pool.stride = tail.window, pool.out = tail.extent(g);
  const ConvPlan<T> plain(g), fused(g, tail);
  const auto pooled = n * pool.out_pixels() * g.out_channels, full = n * g.out_pixels() * g.out_channels;
  const auto gradient = random_numbers<T>(random, pooled);
  const Execution exec;
  const Guarded<T> x(t.x), w(t.w), bias(t.bias), dy(gradient);
  Guarded<T> workspace(std::max(plain.workspace(n), fused.workspace(n)));
  const auto kind = tail.slope == 0 ? Activation::relu : Activation::leaky_relu;

  const Guarded<T> z(full), p(pooled), y(pooled), dp(pooled), dz(full), dx(n * g.in_pixels() * g.in_channels), dw(t.dw), dbias(t.dbias);
  const Guarded<std::uint8_t> index(pooled);
  plain.forward(exec, n, x, w, bias, z, {}, workspace);
  max_pool_forward<T>(exec, pool, n, z, p, index);
  activation_forward<T>(exec, kind, pooled, p, y, static_cast<T>(tail.slope));
  activation_backward<T>(exec, kind, pooled, p, y, dy, dp, static_cast<T>(tail.slope));
  max_pool_backward<T>(exec, pool, n, dp, index, dz);
  const ConvGradient<T> apart{.dy = dz, .y = {}, .index = {}};
  plain.backward_data(exec, n, apart, w, dx, workspace);
  plain.backward_weights(exec, n, x, apart, dw, dbias, workspace);

  workspace.spoil();
  const Guarded<T> found_y(pooled), alone(pooled), found_dx(n * g.in_pixels() * g.in_channels), found_dw(t.dw), found_dbias(t.dbias);
  const Guarded<std::uint8_t> found_index(pooled);
  fused.forward(exec, n, x, w, bias, found_y, found_index, workspace);
  BOOST_TEST(distance(found_y.values(), y.values(), 1) <= rounding<T>);
  fused.forward(exec, n, x, w, bias, alone, {}, workspace);
  BOOST_TEST(same_bits(alone.values(), found_y.values()));
  // From here on with the places and results of the steps apart, so that a tie decided otherwise is no difference.
  const ConvGradient<T> together{.dy = dy, .y = y, .index = index};
  fused.backward_data(exec, n, together, w, found_dx, workspace);
  fused.backward_weights(exec, n, x, together, found_dw, found_dbias, workspace);
  const auto same = [&](const Guarded<T>& found, const Guarded<T>& expected, const char* what) {
    const auto values = expected.values();
    BOOST_TEST(distance(found.values(), std::vector<double>(values.begin(), values.end()), 1) <= rounding<T>, what);
    BOOST_TEST(found.guards_hold(), what << " was written beyond its end");
  };
  same(found_dx, dx, "backward_data");
  same(found_dw, dw, "backward_weights");
  same(found_dbias, dbias, "gradient of the bias");
  BOOST_TEST((found_y.guards_hold() && found_index.guards_hold() && workspace.guards_hold()));
  std::int64_t other_places = 0;
  const auto a = found_index.values(), b = index.values();
  for (std::size_t i = 0; i < a.size(); ++i) other_places += a[i] != b[i];
  BOOST_TEST(other_places <= static_cast<std::int64_t>(a.size() / 1000));  // z rounds otherwise where its taps are walked in other parts
}

template <class T>
void check_tails(std::uint64_t seed) {
  RandomStream random(seed, 200 + sizeof(T));
  for (int i = 0; i < 120; ++i) {
    ConvGeometry g = i < 90 ? random_geometry(random, i) : small_kernel_geometry(random, i);
    Epilogue tail{.slope = pick<double>(random, {0, 0.01, 1, 0.3})};
    const bool as_tiles = i >= 90 && i % 2 == 0 && g.out[1] > 1 && g.out[2] > 1;  // windows that are Winograd's tiles
    if (as_tiles) tail.window = {g.kernel[0] == 3 && g.out[0] > 1 ? 2 : 1, 2, 2};
    for (std::size_t a = 0; a < 3 && !as_tiles; ++a)
      if (g.in[a] > 1 || g.out[a] > 1) tail.window[a] = draw(random, 1, std::min<std::int64_t>(3, g.out[a]));
    if (!tail.pools()) continue;
    for (const std::int64_t n : {draw(random, 2, 4), std::int64_t{0}})
      BOOST_TEST_CONTEXT("seed " << seed << " case " << i << ", " << sizeof(T) << "-byte, n " << n << ", windows " << tail.window[0] << "x" << tail.window[1]
                                 << "x" << tail.window[2] << ", slope " << tail.slope << ", " << text(g)) {
        check_tail<T>(g, tail, n, random);
      }
  }
}

// Sizes at which tiles, registers and blocks of rows are full, and one more or less.
template <class T>
void check_shapes(std::uint64_t seed) {
  RandomStream random(seed, 100 + sizeof(T));
  for (const std::int64_t channels : {1, 15, 16, 17, 31, 32, 33, 65})
    for (const std::int64_t width : {1, 6, 13, 14, 29}) {
      ConvGeometry g;
      g.in_channels = channels % 2 ? 3 : channels, g.out_channels = channels;
      g.in = {1, 3, width}, g.kernel = {1, 3, 3}, g.padding = {0, 1, 1};
      complete(g);
      BOOST_TEST_CONTEXT("seed " << seed << ", " << sizeof(T) << "-byte, " << text(g)) { check(ConvPlan<T>(g), 2, random); }
    }
  ConvGeometry large;  // many blocks of rows and several chunks of the weight gradient
  large.in_channels = 24, large.out_channels = 9, large.in = {1, 40, 70}, large.kernel = {1, 5, 5}, large.padding = {0, 2, 2};
  complete(large);
  BOOST_TEST_CONTEXT("seed " << seed << ", " << sizeof(T) << "-byte, " << text(large)) { check(ConvPlan<T>(large), 3, random); }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(convolution)

BOOST_AUTO_TEST_CASE(equals_its_definition_in_double) { check_random<double>(test_seed()); }
BOOST_AUTO_TEST_CASE(equals_its_definition_in_float) { check_random<float>(test_seed()); }

BOOST_AUTO_TEST_CASE(takes_rounded_operands) {
  RandomStream random(test_seed(), 300);
  for (int i = 0; i < 60; ++i) {
    const ConvGeometry g = random_geometry(random, i);
    BOOST_TEST_CONTEXT("seed " << test_seed() << " case " << i << ", " << text(g)) {
      check(ConvPlan<float>(g, {}, i % 2 ? ComputeType::tf32 : ComputeType::bf16), draw(random, 0, 3), random);
      check(ConvPlan<double>(g, {}, ComputeType::bf16), 1, random);
    }
  }
}

BOOST_AUTO_TEST_CASE(small_kernels_equal_their_definition) {
  check_small_kernels<double>(test_seed());
  check_small_kernels<float>(test_seed());
}

BOOST_AUTO_TEST_CASE(a_tail_is_its_steps_one_after_the_other) {
  if (!ConvPlan<float>::has_pooling) return;
  check_tails<double>(test_seed());
  check_tails<float>(test_seed());
}

BOOST_AUTO_TEST_CASE(holds_at_the_edges_of_tiles) {
  check_shapes<double>(test_seed());
  check_shapes<float>(test_seed());
}

BOOST_AUTO_TEST_CASE(sums_do_not_depend_on_threads) {
  const auto instances = few_and_many_threads();
  RandomStream random(test_seed(), 7);
  for (int i = 0; i < 45; ++i) {
    const ConvGeometry g = i < 30 ? random_geometry(random, i) : small_kernel_geometry(random, i);
    const ConvPlan<float> plan(g);
    const std::int64_t n = draw(random, 1, 9);
    const Tensors<float> t(g, n, random);
    const Guarded<float> x(t.x), w(t.w), bias(t.bias), dy(t.dy), workspace(plan.workspace(n));
    std::vector<std::vector<float>> results;
    for (const Execution& exec : instances) {
      const Guarded<float> y(static_cast<std::int64_t>(t.dy.size())), dx(static_cast<std::int64_t>(t.x.size())), dw(t.dw), dbias(t.dbias);
      plan.forward(exec, n, x, w, bias, y, {}, workspace);
      const ConvGradient<float> gradient{.dy = dy, .y = {}, .index = {}};
      plan.backward_data(exec, n, gradient, w, dx, workspace);
      plan.backward_weights(exec, n, x, gradient, dw, dbias, workspace);
      exec.fence("trireme::test");
      std::vector<float> all;
      for (const auto& part : {y.values(), dx.values(), dw.values(), dbias.values()}) all.insert(all.end(), part.begin(), part.end());
      results.push_back(std::move(all));
    }
    BOOST_TEST(same_bits(results.front(), results.back()), "seed " << test_seed() << " case " << i << ": " << text(g));
  }
}

// A NaN must reach the loss, which is where a run that went wrong is noticed; also through a fused relu.
BOOST_AUTO_TEST_CASE(nan_passes_a_fused_relu) {
  ConvGeometry g;
  g.in_channels = 2, g.out_channels = 19, g.in = {1, 1, 9};
  complete(g);
  const ConvPlan<float> plan(g, {.slope = 0});
  std::vector<float> input(18, -1), weights(38, 1);
  input[7] = std::numeric_limits<float>::quiet_NaN();
  const Guarded<float> x(input), w(weights), y(9 * 19), workspace(plan.workspace(1));
  plan.forward(Execution(), 1, x, w, Span<const float>(), y, {}, workspace);
  const auto found = y.values();
  for (std::size_t i = 0; i < found.size(); ++i) BOOST_TEST((i / 19 == 3 ? std::isnan(found[i]) : found[i] == 0));
}

BOOST_AUTO_TEST_CASE(the_extent_is_pytorchs) {
  BOOST_TEST(conv_extent(28, 5, 1, 0, 1) == 24);
  BOOST_TEST(conv_extent(7, 3, 2, 1, 1) == 4);
  BOOST_TEST(conv_extent(8, 3, 2, 0, 2) == 2);
  BOOST_TEST(conv_extent(2, 3, 1, 0, 1) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
