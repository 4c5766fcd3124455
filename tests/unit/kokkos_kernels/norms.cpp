// Normalization against its definition in double, on more rows and channels than a tile has.
#include <boost/test/unit_test.hpp>

#include "kokkos_kernels/norm.hpp"
#include "support/arrays.hpp"
#include "threads.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

// y, dx and the weights' gradients of elements that `group` gives moments in common and `place` a weight.
struct Definition {
  std::vector<double> y, dx, dweight, dbias;

  template <class Group, class Place>
  Definition(const std::vector<double>& x, const std::vector<double>& dy, const std::vector<double>& weight, const std::vector<double>& bias, double eps,
             std::size_t groups, const Group& group, const Place& place)
      : y(x.size()), dx(x.size()), dweight(weight.size()), dbias(weight.size()) {
    std::vector<double> n(groups), mean(groups), var(groups), g(groups), gz(groups);
    for (std::size_t i = 0; i < x.size(); ++i) n[group(i)] += 1, mean[group(i)] += x[i];
    for (std::size_t k = 0; k < groups; ++k) mean[k] /= n[k];
    for (std::size_t i = 0; i < x.size(); ++i) var[group(i)] += (x[i] - mean[group(i)]) * (x[i] - mean[group(i)]) / n[group(i)];
    const auto z = [&](std::size_t i) { return (x[i] - mean[group(i)]) / std::sqrt(var[group(i)] + eps); };
    for (std::size_t i = 0; i < x.size(); ++i) {
      y[i] = z(i) * weight[place(i)] + bias[place(i)];
      dweight[place(i)] += dy[i] * z(i), dbias[place(i)] += dy[i];
      g[group(i)] += dy[i] * weight[place(i)] / n[group(i)], gz[group(i)] += dy[i] * weight[place(i)] * z(i) / n[group(i)];
    }
    for (std::size_t i = 0; i < x.size(); ++i) dx[i] = (dy[i] * weight[place(i)] - g[group(i)] - z(i) * gz[group(i)]) / std::sqrt(var[group(i)] + eps);
  }
};

template <class T>
std::vector<double> wide(const std::vector<T>& v) {
  return {v.begin(), v.end()};
}

template <class T>
struct Drawn {
  std::vector<T> x, dy, weight, bias;
  Drawn(RandomStream& random, std::int64_t elements, std::int64_t weights)
      : x(random_numbers<T>(random, elements)),
        dy(random_numbers<T>(random, elements)),
        weight(random_numbers<T>(random, weights)),
        bias(random_numbers<T>(random, weights)) {
    for (T& v : x) v = 2 * v + 3;
  }
};

template <class T>
void check_batch(RandomStream& random, std::int64_t rows, std::int64_t channels) {
  const Drawn<T> drawn(random, rows * channels, channels);
  const auto c = [&](std::size_t i) { return i % static_cast<std::size_t>(channels); };
  const Definition expected(wide(drawn.x), wide(drawn.dy), wide(drawn.weight), wide(drawn.bias), 1e-3, static_cast<std::size_t>(channels), c, c);
  const Guarded<T> x(drawn.x), dy(drawn.dy), weight(drawn.weight), bias(drawn.bias), y(rows * channels), dx(rows * channels);
  const Guarded<T> pivot(std::vector<T>(drawn.bias.size(), T(2))), coefficients(3 * channels), factor(channels), shift(channels);
  const Guarded<T> observed_mean(std::vector<T>(drawn.bias.size())), observed_var(std::vector<T>(drawn.bias.size()));
  const Guarded<T> dweight(std::vector<T>(drawn.bias.size())), dbias(std::vector<T>(drawn.bias.size()));
  const Guarded<double> workspace(batch_sums_workspace(rows, channels)), sums(2 * channels + 1), mean(channels), inv_std(channels), counted(1);
  const BatchMoments<T> moments{mean, inv_std, counted, factor, shift};
  const Execution exec;
  batch_sums<T>(exec, rows, channels, x, pivot, workspace, sums);
  batch_moments<T>(exec, channels, sums.span(), pivot, 1e-3, 1, weight, bias, moments, observed_mean, observed_var);
  scale_channels<T>(exec, rows, channels, x, factor, shift, y, false);
  batch_gradient_sums<T>(exec, rows, channels, x, dy, moments, false, workspace, sums, dweight, dbias);
  batch_norm_backward<T>(exec, rows, channels, x, dy, moments, false, weight, sums.span(), coefficients, dx);
  BOOST_TEST(distance(y.values(), expected.y, 1) <= rounding<T>);
  BOOST_TEST(distance(dx.values(), expected.dx, 1) <= rounding<T>);
  BOOST_TEST(distance(dweight.values(), expected.dweight, 1) <= rounding<T>);
  BOOST_TEST(distance(dbias.values(), expected.dbias, 1) <= rounding<T>);
  for (const auto* one : {&y, &dx, &coefficients, &factor, &shift, &observed_mean, &observed_var, &dweight, &dbias}) BOOST_TEST(one->guards_hold());
  BOOST_TEST((workspace.guards_hold() && sums.guards_hold() && mean.guards_hold() && inv_std.guards_hold()));
}

template <class T>
void check_groups(RandomStream& random, std::int64_t n, const NormGroups& g) {
  const std::int64_t elements = n * g.pixels * g.channels, weights = (g.channel_stride ? g.channels : 1) * (g.pixel_stride ? g.pixels : 1);
  const Drawn<T> drawn(random, elements, weights);
  const auto group = [&](std::size_t i) {
    const auto at = static_cast<std::int64_t>(i);
    return static_cast<std::size_t>(at / (g.pixels * g.channels) * g.groups + at % g.channels / g.width());
  };
  const auto place = [&](std::size_t i) {
    const auto at = static_cast<std::int64_t>(i);
    return static_cast<std::size_t>(at % g.channels * g.channel_stride + at / g.channels % g.pixels * g.pixel_stride);
  };
  const Definition expected(wide(drawn.x), wide(drawn.dy), wide(drawn.weight), wide(drawn.bias), 1e-3, static_cast<std::size_t>(n * g.groups), group, place);
  const Guarded<T> x(drawn.x), dy(drawn.dy), weight(drawn.weight), bias(drawn.bias);
  const Guarded<double> for_moments(group_moments_workspace(n, g)), for_sums(group_sums_workspace(n, g));
  const auto run = [&](const Execution& exec) {
    const std::vector<T> zeros(drawn.bias.size());
    const Guarded<T> y(elements), dx(elements), moments(n * 2 * g.groups), sums(n * 2 * g.groups), dweight(zeros), dbias(zeros);
    group_moments<T>(exec, n, g, 1e-3, x, for_moments, moments);
    group_norm_forward<T>(exec, n, g, x, moments, weight, bias, y);
    group_norm_sums<T>(exec, n, g, x, dy, moments, weight, for_sums, sums, dweight, dbias);
    group_norm_backward<T>(exec, n, g, x, dy, moments, weight, sums, dx);
    exec.fence("trireme::test");
    BOOST_TEST(distance(y.values(), expected.y, 1) <= rounding<T>);
    BOOST_TEST(distance(dx.values(), expected.dx, 1) <= rounding<T>);
    BOOST_TEST(distance(dweight.values(), expected.dweight, 1) <= rounding<T>);
    BOOST_TEST(distance(dbias.values(), expected.dbias, 1) <= rounding<T>);
    auto all = y.values();
    for (const auto* one : {&y, &dx, &moments, &sums, &dweight, &dbias}) {
      BOOST_TEST(one->guards_hold());
      for (const T v : one->values()) all.push_back(v);
    }
    BOOST_TEST((for_moments.guards_hold() && for_sums.guards_hold()));
    return all;
  };
  BOOST_TEST(same_on_all_threads(run));
}

template <class T>
void check_all(std::uint64_t seed) {
  RandomStream random(seed, 120 + sizeof(T));
  for (const std::int64_t channels : {1, 5, 16, 35})
    for (const std::int64_t pixels : {1, 6, 1100}) {
      BOOST_TEST_CONTEXT("seed " << seed << ", " << sizeof(T) << "-byte, channels " << channels << ", pixels " << pixels) {
        check_batch<T>(random, 3 * pixels, channels);
        check_groups<T>(random, 3, {pixels, channels, 1, 1, 0});
        check_groups<T>(random, 2, {pixels, channels, channels, 1, 0});
        check_groups<T>(random, 3, {pixels, channels, 1, pixels, 1});
        check_groups<T>(random, 2, {pixels, channels, channels, 0, 1});
        if (channels == 35) check_groups<T>(random, draw(random, 1, 4), {pixels, channels, 7, 1, 0});
      }
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(norms)

BOOST_AUTO_TEST_CASE(equal_their_definition) {
  check_all<double>(test_seed());
  check_all<float>(test_seed());
}

BOOST_AUTO_TEST_SUITE_END()
