// The schedules that follow torch.optim.lr_scheduler, against loops in the manner of its classes: from one step to the next, not from the start.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "optim/schedule.hpp"
#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr double lr = 0.3;

Schedule schedule(const std::string& kind, const std::vector<std::string>& more, std::int64_t per_epoch, std::int64_t total) {
  std::vector<std::string> overrides{"schedule.kind=" + kind, fmt::format("optimizer.lr={}", lr)};
  for (const std::string& item : more) overrides.push_back("schedule." + item);
  return Schedule(Deck("[model]\ninput = 1\nlayer = relu\n", "test", overrides), per_epoch, total);
}

void near(double found, double expected, std::int64_t step) {
  BOOST_TEST(std::abs(found - expected) <= 1e-10 * (1e-3 + std::abs(expected)), "step " << step << ": " << found << " is not " << expected);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(torch_schedules)

BOOST_AUTO_TEST_CASE(milestones_is_multi_step) {
  RandomStream random(test_seed(), 1);
  for (int i = 0; i < 20; ++i) {
    const std::int64_t per_epoch = draw(random, 1, 20), first = draw(random, 1, 5), second = first + draw(random, 1, 5), warm = draw(random, 0, 2);
    const Schedule s = schedule("milestones", {fmt::format("milestones={},{}", second, first), "gamma=0.25", fmt::format("warmup={}", warm)}, per_epoch, 400);
    double expected = lr;
    for (std::int64_t step = 0; step < 300; ++step) {
      if (step == first * per_epoch || step == second * per_epoch) expected *= 0.25;
      near(s.at(step + warm * per_epoch), expected, step);
    }
  }
}

BOOST_AUTO_TEST_CASE(polynomial_is_torchs) {
  RandomStream random(test_seed(), 2);
  for (int i = 0; i < 20; ++i) {
    const double power = random.uniform(0.3, 3);
    const std::int64_t total = draw(random, 1, 200);
    const Schedule s = schedule("polynomial", {fmt::format("power={}", power)}, 10, total), above = schedule("polynomial", {"power=2", "final=0.5"}, 10, total);
    double expected = lr;  // PolynomialLR: each step multiplies by ((1 - t / T) / (1 - (t - 1) / T)) ^ power
    for (std::int64_t step = 0; step < total; ++step) {
      const double t = static_cast<double>(step), all = static_cast<double>(total);
      if (step > 0) expected *= std::pow((1 - t / all) / (1 - (t - 1) / all), power);
      near(s.at(step), expected, step);
      near(above.at(step), lr * (0.5 + 0.5 * (1 - t / all) * (1 - t / all)), step);
    }
    near(s.at(total), 0, total);
    near(s.at(total + 5), 0, total + 5);
  }
}

BOOST_AUTO_TEST_CASE(exponential_is_torchs_at_each_epoch) {
  const Schedule s = schedule("exponential", {"gamma=0.7"}, 13, 500);
  double expected = lr;
  for (std::int64_t epoch = 0; epoch < 30; ++epoch, expected *= 0.7) near(s.at(13 * epoch), expected, 13 * epoch);
  for (std::int64_t step = 0; step < 300; ++step) near(s.at(step + 1), s.at(step) * std::exp(std::log(0.7) / 13), step);
}

BOOST_AUTO_TEST_CASE(one_cycle_is_torchs) {
  RandomStream random(test_seed(), 3);
  for (int i = 0; i < 40; ++i) {
    const std::int64_t total = draw(random, 20, 300);
    const double rise = random.uniform(0.15, 0.8), div = random.uniform(2, 40), final_div = random.uniform(2, 1e4);
    for (const std::string anneal : {"cos", "linear"}) {
      const Schedule s = schedule(
          "one_cycle",
          {fmt::format("pct_start={}", rise), fmt::format("div_factor={}", div), fmt::format("final_div_factor={}", final_div), "anneal=" + anneal}, 10, total);
      const double initial = lr / div, smallest = initial / final_div;
      const double ends[] = {rise * static_cast<double>(total) - 1, static_cast<double>(total) - 1}, from[] = {initial, lr}, to[] = {lr, smallest};
      for (std::int64_t step = 0; step < total; ++step) {
        double start = 0, expected = 0;
        for (int phase = 0; phase < 2; ++phase) {  // as OneCycleLR.get_lr
          if (static_cast<double>(step) <= ends[phase] || phase == 1) {
            const double part = (static_cast<double>(step) - start) / (ends[phase] - start);
            expected = anneal == "linear" ? (to[phase] - from[phase]) * part + from[phase]
                                          : to[phase] + (from[phase] - to[phase]) / 2 * (std::cos(std::numbers::pi * part) + 1);
            break;
          }
          start = ends[phase];
        }
        near(s.at(step), expected, step);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(cosine_restarts_are_torchs) {
  RandomStream random(test_seed(), 4);
  for (int i = 0; i < 30; ++i) {
    const std::int64_t per_epoch = draw(random, 1, 9), period = draw(random, 1, 5), factor = draw(random, 1, 3);
    const Schedule s = schedule("cosine_restarts", {fmt::format("period={}", period), fmt::format("period_factor={}", factor), "final=0.125"}, per_epoch, 1000);
    std::int64_t at = 0, length = period * per_epoch;
    for (std::int64_t step = 0; step < 400; ++step) {
      const double part = static_cast<double>(at) / static_cast<double>(length);
      near(s.at(step), lr * (0.125 + 0.875 * (1 + std::cos(std::numbers::pi * part)) / 2), step);
      if (++at == length) at = 0, length *= factor;
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_missing_is_refused) {
  BOOST_CHECK_THROW(schedule("milestones", {}, 10, 100), Error);
  BOOST_CHECK_THROW(schedule("milestones", {"milestones=0"}, 10, 100), Error);
  BOOST_CHECK_THROW(schedule("one_cycle", {"pct_start=2"}, 10, 100), Error);
}

BOOST_AUTO_TEST_SUITE_END()
