// Every registered loss: gradients against finite differences, finite at extreme outputs. reference.cpp compares values with PyTorch's.
#include <boost/test/unit_test.hpp>

#include "base/registry.hpp"
#include "losses/loss.hpp"
#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

const std::vector<LossKind>& kinds = loss_kinds();

bool takes_classes(const LossKind& kind) { return kind.targets == LossKind::Targets::classes; }
bool takes_probabilities(const LossKind& kind) { return kind.targets == LossKind::Targets::binary || kind.name == "kl_div"; }
/// Whether outputs must be probabilities.
bool has_domain(const LossKind& kind) { return !kind.output_domain.empty(); }

/// Losses of one target per output. Others take classes here.
Deck deck_of(const LossKind& kind, double smoothing) {
  std::vector<std::string> overrides{"loss.kind=" + kind.name};
  if (kind.classes_or_binary) overrides.push_back("loss.targets=probabilities");
  if (smoothing != 0) overrides.push_back(fmt::format("loss.label_smoothing={:.17g}", smoothing));
  return Deck("[model]\ninput = 1\nlayer = linear out=1\n", "test", overrides);
}

template <class T>
struct Case {
  const LossKind& kind;
  std::int64_t n, outputs;
  T smoothing = 0;
  std::vector<T> y, target;          // target of all but cross_entropy
  std::vector<std::int32_t> labels;  // of cross_entropy

  struct Result {
    double loss;
    std::vector<T> gradient;
  };
  Result apply(const std::vector<T>& at, T factor, bool in_place = false, bool with_gradient = true) const {
    const Execution exec;
    const Guarded<T> out(at), fresh(static_cast<std::int64_t>(at.size())), dev_target(target);
    const Guarded<std::int32_t> dev_labels(labels);
    const Guarded<T>& dy = in_place ? out : fresh;
    const Deck deck = deck_of(kind, static_cast<double>(smoothing));
    const LossTargets targets = loss_targets(kind, deck, {outputs});
    const auto loss = kind.make.make<T>(deck, targets);
    const std::int64_t numbers = loss->statistics();
    const Guarded<double> partial(loss_workspace(n, outputs) * (1 + numbers / 2)), sums(2), statistics(n * numbers);
    LossPass<T> pass{.exec = exec,
                     .n = n,
                     .pixels = 1,
                     .channels = {outputs, 0, outputs, 0, outputs / kind.outputs_per_target},
                     .y = out,
                     .targets = {takes_classes(kind) ? dev_labels.span() : Span<std::int32_t>(), dev_target},
                     .factor = factor,
                     .dy = with_gradient ? dy.span() : Span<T>(),
                     .partial = partial,
                     .sums = sums};
    if (numbers > 0) {
      loss->gather(pass, statistics);
      pass.statistics = statistics;
    }
    loss->apply(pass);
    BOOST_TEST((dy.guards_hold() && partial.guards_hold() && sums.guards_hold() && statistics.guards_hold()));
    return {sums.values()[0], dy.values()};
  }
  double value(const std::vector<T>& at) const { return apply(at, T(1), false, false).loss; }
};

template <class T>
Case<T> random_case(const LossKind& kind, RandomStream& random) {
  Case<T> c{kind, draw(random, 1, 6), draw(random, 1, 8) * kind.outputs_per_target, T(0), {}, {}, {}};
  c.y = separated_numbers<T>(random, c.n * c.outputs);
  c.target = std::vector<T>(c.y.size());
  if (takes_classes(kind) && random.below(2)) c.smoothing = static_cast<T>(random.uniform(0, 1));
  for (std::int64_t s = 0; s < c.n; ++s) c.labels.push_back(static_cast<std::int32_t>(draw(random, 0, c.outputs - 1)));
  for (std::size_t i = 0; i < c.y.size(); ++i) {
    const bool probabilities = takes_probabilities(kind);
    c.target[i] = static_cast<T>(probabilities ? random.uniform() : 0.0);
    if (has_domain(kind)) c.y[i] = T(0.5) + T(0.45) * c.y[i];
    if (kind.name == "gaussian_nll" && i % static_cast<std::size_t>(c.outputs) >= static_cast<std::size_t>(c.outputs / 2))
      c.y[i] = T(1.1) + c.y[i];                                                                                     // variances
    if (kind.targets == LossKind::Targets::values && !probabilities) c.target[i] = random.below(2) ? T(3) : T(-3);  // no kink nearby
  }
  return c;
}

template <class T>
void check_extremes() {
  RandomStream random(test_seed(), 3);
  for (const LossKind& kind : kinds)
    for (int i = 0; i < 40 && kind.outputs_per_target == 1; ++i) {
      // Differences of two outputs are finite still. The sum over all classes, which smoothing takes, may not be where nobody asked for it; the sum
      // over samples is a double.
      const bool largest = takes_classes(kind) && i % 2 == 0 && std::is_same_v<T, float>;
      const T most = std::numeric_limits<T>::max() / (largest ? 2 : 64);
      Case<T> c{kind, 3, 5, takes_classes(kind) && i % 2 ? T(0.1) : T(0), {}, std::vector<T>(15), {0, 2, 4}};
      for (std::size_t k = 0; k < 15; ++k) {
        c.target[k] = kind.targets == LossKind::Targets::values ? T(0) : T(random.below(2));
        c.y.push_back(has_domain(kind) ? pick<T>(random, {T(0), T(1), T(0.5), std::numeric_limits<T>::denorm_min()})
                      : kind.targets == LossKind::Targets::values && kind.name != "mae" ? pick<T>(random, {T(-1e15), T(0), T(1e15)})
                      : !takes_classes(kind)                                            ? pick<T>(random, {-most, T(-1e4), T(0), T(1e4), most})
                                                                                        : pick<T>(random, {-most, T(-1e4), T(-1), T(0), T(1e4), most}));
      }
      const auto result = c.apply(c.y, T(1));
      BOOST_TEST_CONTEXT("seed " << test_seed() << " kind " << kind.name << " smoothing " << c.smoothing << ", " << sizeof(T) << "-byte") {
        BOOST_TEST(std::isfinite(result.loss));
        for (const T g : result.gradient) BOOST_TEST(std::isfinite(g));
      }
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(losses)

BOOST_AUTO_TEST_CASE(gradients_are_the_slopes_of_the_value) {
  RandomStream random(test_seed());
  for (const LossKind& kind : kinds)
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
      BOOST_TEST_CONTEXT("seed " << test_seed() << " kind " << kind.name << " case " << i << " n " << c.n << " outputs " << c.outputs) {
        if (!(takes_classes(kind) && c.outputs == 1)) BOOST_TEST(distance(result.gradient, slopes) <= 1e-7);
        BOOST_TEST(std::abs(result.loss - c.value(c.y)) <= 1e-15 * std::abs(result.loss));
        BOOST_TEST(same_bits(c.apply(c.y, factor, true).gradient, result.gradient));
      }
    }
}

BOOST_AUTO_TEST_CASE(floats_agree_with_doubles) {
  RandomStream random(test_seed(), 1);
  for (const LossKind& kind : kinds)
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
  for (const LossKind& kind : kinds)
    for (const T smoothing : {T(0), T(0.1)})
      for (std::size_t at = 0; at < 6; ++at)
        for (const bool in_target : {false, true}) {
          if ((takes_classes(kind) ? in_target : smoothing != T(0)) || kind.outputs_per_target > 1) continue;
          Case<T> c{kind, 2, 3, smoothing, std::vector<T>(6, T(0.25)), std::vector<T>(6, T(1)), {0, 2}};
          (in_target ? c.target : c.y)[at] = nan;
          const auto result = c.apply(c.y, T(1));
          BOOST_TEST_CONTEXT("kind " << kind.name << " smoothing " << smoothing << " element " << at << (in_target ? " of the target" : "")) {
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

// The sign tells an output that is not a probability from a target that is not; a few roundings outside [0, 1] are allowed.
BOOST_AUTO_TEST_CASE(binary_losses_know_their_domain) {
  const double infinity = std::numeric_limits<double>::infinity();
  const LossKind &bce = entry_of(kinds, "bce"), &with_logits = entry_of(kinds, "bce_with_logits");
  const auto loss = [](const LossKind& kind, double y, double t) {
    const Case<double> c{kind, 1, 2, 0, {0.5, y}, {1, t}, {}};
    return c.value(c.y);
  };
  for (const double y : {-0.01, 1.01, 7.0, -infinity, infinity}) BOOST_TEST(loss(bce, y, 1) == infinity);
  for (const LossKind* kind : {&bce, &with_logits})
    for (const double t : {-1.0, 255.0, 1.001}) BOOST_TEST(loss(*kind, 0.5, t) == -infinity);
  BOOST_TEST(loss(bce, 2, -1) == -infinity);  // both in one element: the target is reported
  const Case<double> both{bce, 1, 2, 0, {2, 0.5}, {1, -1}, {}};
  BOOST_TEST(std::isnan(both.value(both.y)));
  BOOST_TEST(std::abs(loss(bce, -4e-16, 0) + std::log(0.5)) < 1e-14);
  BOOST_TEST(std::abs(loss(bce, 1 + 4e-16, 0) - 100 + std::log(0.5)) < 1e-12);
  BOOST_TEST(loss(with_logits, 3, 1) < 1);
}

BOOST_AUTO_TEST_CASE(no_samples_lose_nothing) {
  for (const LossKind& kind : kinds) BOOST_TEST((Case<float>{kind, 0, 4, 0.0f, {}, {}, {}}.apply({}, 1).loss) == 0.0);
}

BOOST_AUTO_TEST_CASE(sums_run_in_order_whatever_the_threads) {
  RandomStream random(test_seed(), 2);
  const std::int64_t n = 100, pixels = 3000;  // several blocks per sample
  const Guarded<float> y(random_numbers<float>(random, n * pixels * 3)), target(random_numbers<float>(random, n * pixels * 3)), dy(n * pixels * 3);
  for (const char* name : {"mse", "cross_entropy"}) {
    std::vector<std::vector<double>> results;
    const LossKind& kind = entry_of(kinds, name);
    std::vector<float> classes(static_cast<std::size_t>(n * pixels));
    for (std::size_t i = 0; i < classes.size(); ++i) classes[i] = static_cast<float>(i % 3);
    const Guarded<float> map(classes);
    const Deck deck = deck_of(kind, 0);
    const auto loss = kind.make.make<float>(deck, loss_targets(kind, deck, {3, pixels}));
    const bool of_classes = takes_classes(kind);
    for (const Execution& exec : few_and_many_threads()) {
      const Guarded<double> partial(loss_workspace(n, pixels * 3)), sums(2);
      loss->apply({exec, n, pixels, {3, 0, 3, 0, of_classes ? 1 : 3}, y, {{}, of_classes ? map : target}, 1, dy, partial, sums});
      exec.fence("trireme::test");
      results.push_back(sums.values());
      BOOST_TEST((partial.guards_hold() && dy.guards_hold()));
    }
    BOOST_TEST(same_bits(results.front(), results.back()));
  }
}

BOOST_AUTO_TEST_SUITE_END()
