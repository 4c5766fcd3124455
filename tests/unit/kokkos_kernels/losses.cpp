// Losses: gradients against finite differences, finite at extreme outputs. Values are compared with PyTorch's beside the layers.
#include "kokkos_kernels/loss.hpp"

#include <boost/test/unit_test.hpp>

#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr LossKind kinds[] = {LossKind::cross_entropy, LossKind::mse, LossKind::mae, LossKind::bce, LossKind::bce_with_logits};

template <class T>
struct Case {
  LossKind kind;
  std::int64_t n, outputs;
  T smoothing = 0;
  std::vector<T> y, target;          // target of all but cross_entropy
  std::vector<std::int32_t> labels;  // of cross_entropy

  struct Result {
    double loss;
    std::vector<T> gradient;
  };
  Result apply(const std::vector<T>& at, T factor, bool in_place = false) const {
    const Execution exec;
    const Guarded<T> out(at), fresh(static_cast<std::int64_t>(at.size())), dev_target(target);
    const Guarded<std::int32_t> dev_labels(labels);
    const Guarded<double> per_sample(n), loss(1);
    const Guarded<T>& dy = in_place ? out : fresh;
    if (kind == LossKind::cross_entropy)
      cross_entropy<T>(exec, n, outputs, out, dev_labels, smoothing, factor, dy, per_sample, loss);
    else
      elementwise_loss<T>(exec, kind, n, outputs, out, dev_target, factor, dy, per_sample, loss);
    BOOST_TEST((dy.guards_hold() && per_sample.guards_hold() && loss.guards_hold()));
    return {loss.values()[0], dy.values()};
  }
  double value(const std::vector<T>& at) const {
    const Execution exec;
    const Guarded<T> out(at), dev_target(target);
    const Guarded<std::int32_t> dev_labels(labels);
    const Guarded<double> per_sample(n), loss(1);
    if (kind == LossKind::cross_entropy)
      cross_entropy<T>(exec, n, outputs, out, dev_labels, smoothing, T(1), Span<T>(), per_sample, loss);
    else
      elementwise_loss<T>(exec, kind, n, outputs, out, dev_target, T(1), Span<T>(), per_sample, loss);
    return loss.values()[0];
  }
};

template <class T>
Case<T> random_case(LossKind kind, RandomStream& random) {
  Case<T> c{kind, draw(random, 1, 6), draw(random, 1, 8), T(0), {}, {}, {}};
  c.y = separated_numbers<T>(random, c.n * c.outputs);
  c.target = std::vector<T>(c.y.size());
  if (kind == LossKind::cross_entropy && random.below(2)) c.smoothing = static_cast<T>(random.uniform(0, 1));
  for (std::int64_t s = 0; s < c.n; ++s) c.labels.push_back(static_cast<std::int32_t>(draw(random, 0, c.outputs - 1)));
  for (std::size_t i = 0; i < c.y.size(); ++i) {
    const bool probabilities = kind == LossKind::bce || kind == LossKind::bce_with_logits;
    c.target[i] = static_cast<T>(probabilities ? random.uniform() : 0.0);
    if (kind == LossKind::bce) c.y[i] = T(0.5) + T(0.45) * c.y[i];
    if (kind == LossKind::mae || kind == LossKind::mse) c.target[i] = random.below(2) ? T(2) : T(-2);  // no kink nearby
  }
  return c;
}

template <class T>
void check_extremes() {
  RandomStream random(test_seed(), 3);
  for (const LossKind kind : kinds)
    for (int i = 0; i < 40; ++i) {
      // Differences of two outputs are finite still. The sum over all classes, which smoothing takes, may not be where nobody asked for it; the sum
      // over samples is a double.
      const bool largest = kind == LossKind::cross_entropy && i % 2 == 0 && std::is_same_v<T, float>;
      const T most = std::numeric_limits<T>::max() / (largest ? 2 : 64);
      Case<T> c{kind, 3, 5, kind == LossKind::cross_entropy && i % 2 ? T(0.1) : T(0), {}, std::vector<T>(15), {0, 2, 4}};
      for (std::size_t k = 0; k < 15; ++k) {
        c.target[k] = kind == LossKind::mse || kind == LossKind::mae ? T(0) : T(random.below(2));
        c.y.push_back(kind == LossKind::bce       ? pick<T>(random, {T(0), T(1), T(0.5), std::numeric_limits<T>::denorm_min()})
                      : kind == LossKind::mse     ? pick<T>(random, {T(-1e15), T(0), T(1e15)})
                      : kind == LossKind::bce_with_logits || kind == LossKind::mae ? pick<T>(random, {-most, T(-1e4), T(0), T(1e4), most})
                                                  : pick<T>(random, {-most, T(-1e4), T(-1), T(0), T(1e4), most}));
      }
      const auto result = c.apply(c.y, T(1));
      BOOST_TEST_CONTEXT("seed " << test_seed() << " kind " << static_cast<int>(kind) << " smoothing " << c.smoothing << ", " << sizeof(T) << "-byte") {
        BOOST_TEST(std::isfinite(result.loss));
        for (const T g : result.gradient) BOOST_TEST(std::isfinite(g));
      }
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(losses)

BOOST_AUTO_TEST_CASE(gradients_are_the_slopes_of_the_value) {
  RandomStream random(test_seed());
  for (const LossKind kind : kinds)
    for (int i = 0; i < 12; ++i) {
      const auto c = random_case<double>(kind, random);
      const double factor = random.uniform(0.1, 2), h = 1e-6;
      const auto result = c.apply(c.y, factor);
      std::vector<double> slopes;
      for (std::size_t k = 0; k < c.y.size(); ++k) {
        auto up = c.y, down = c.y;
        up[k] += h, down[k] -= h;
        slopes.push_back(factor * (c.value(up) - c.value(down)) / (2 * h));
      }
      BOOST_TEST_CONTEXT("seed " << test_seed() << " kind " << static_cast<int>(kind) << " case " << i << " n " << c.n << " outputs " << c.outputs) {
        if (!(kind == LossKind::cross_entropy && c.outputs == 1)) BOOST_TEST(distance(result.gradient, slopes) <= 1e-7);
        BOOST_TEST(std::abs(result.loss - c.value(c.y)) <= 1e-15 * std::abs(result.loss));
        BOOST_TEST(same_bits(c.apply(c.y, factor, true).gradient, result.gradient));
      }
    }
}

BOOST_AUTO_TEST_CASE(floats_agree_with_doubles) {
  RandomStream random(test_seed(), 1);
  for (const LossKind kind : kinds)
    for (int i = 0; i < 12; ++i) {
      const auto c = random_case<float>(kind, random);
      const Case<double> wide{kind, c.n, c.outputs, static_cast<double>(c.smoothing), {c.y.begin(), c.y.end()}, {c.target.begin(), c.target.end()}, c.labels};
      const auto found = c.apply(c.y, 1);
      const auto exact = wide.apply(wide.y, 1);
      BOOST_TEST(std::abs(found.loss - exact.loss) <= 1e-5 * (1 + std::abs(exact.loss)));
      if (c.outputs > 1) BOOST_TEST(distance(found.gradient, exact.gradient) <= 1e-5);
    }
}

BOOST_AUTO_TEST_CASE(all_is_finite_at_extreme_outputs) {
  check_extremes<double>();
  check_extremes<float>();
}

template <class T>
void check_not_a_number() {
  const T nan = std::numeric_limits<T>::quiet_NaN();
  for (const LossKind kind : kinds)
    for (const T smoothing : {T(0), T(0.1)})
      for (std::size_t at = 0; at < 6; ++at)
        for (const bool in_target : {false, true}) {
          if (kind == LossKind::cross_entropy ? in_target : smoothing != T(0)) continue;
          Case<T> c{kind, 2, 3, smoothing, std::vector<T>(6, T(0.25)), std::vector<T>(6, T(1)), {0, 2}};
          (in_target ? c.target : c.y)[at] = nan;
          const auto result = c.apply(c.y, T(1));
          BOOST_TEST_CONTEXT("kind " << static_cast<int>(kind) << " smoothing " << smoothing << " element " << at << (in_target ? " of the target" : "")) {
            BOOST_TEST(std::isnan(result.loss));
            BOOST_TEST(std::isnan(c.value(c.y)));
            BOOST_TEST(std::isnan(result.gradient[at]));
          }
        }
}

BOOST_AUTO_TEST_CASE(what_is_no_number_goes_through) {
  check_not_a_number<double>();
  check_not_a_number<float>();
}

// An output that is no probability, and a target that is none, are told by the sign; a few roundings off is near enough.
BOOST_AUTO_TEST_CASE(binary_losses_know_their_domain) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto loss = [](LossKind kind, double y, double t) {
    const Case<double> c{kind, 1, 2, 0, {0.5, y}, {1, t}, {}};
    return c.value(c.y);
  };
  for (const double y : {-0.01, 1.01, 7.0, -infinity, infinity}) BOOST_TEST(loss(LossKind::bce, y, 1) == infinity);
  for (const LossKind kind : {LossKind::bce, LossKind::bce_with_logits})
    for (const double t : {-1.0, 255.0, 1.001}) BOOST_TEST(loss(kind, 0.5, t) == -infinity);
  BOOST_TEST(loss(LossKind::bce, 2, -1) == -infinity);  // of one number the target's fault is told
  const Case<double> both{LossKind::bce, 1, 2, 0, {2, 0.5}, {1, -1}, {}};
  BOOST_TEST(std::isnan(both.value(both.y)));
  BOOST_TEST(std::abs(loss(LossKind::bce, -4e-16, 0) + std::log(0.5)) < 1e-14);
  BOOST_TEST(std::abs(loss(LossKind::bce, 1 + 4e-16, 0) - 100 + std::log(0.5)) < 1e-12);
  BOOST_TEST(loss(LossKind::bce_with_logits, 3, 1) < 1);
}

BOOST_AUTO_TEST_CASE(no_samples_lose_nothing) {
  for (const LossKind kind : kinds) BOOST_TEST((Case<float>{kind, 0, 4, 0.0f, {}, {}, {}}.apply({}, 1).loss) == 0.0);
}

BOOST_AUTO_TEST_CASE(sums_run_in_order_whatever_the_threads) {
  RandomStream random(test_seed(), 2);
  const std::int64_t n = 1000;
  const Guarded<float> y(random_numbers<float>(random, n * 3)), target(random_numbers<float>(random, n * 3)), dy(n * 3);
  std::vector<std::vector<double>> results;
  for (const Execution& exec : few_and_many_threads()) {
    const Guarded<double> per_sample(n), loss(1);
    elementwise_loss<float>(exec, LossKind::mse, n, 3, y, target, 1, dy, per_sample, loss);
    exec.fence("trireme::test");
    results.push_back(loss.values());
  }
  BOOST_TEST(same_bits(results.front(), results.back()));
}

BOOST_AUTO_TEST_SUITE_END()
