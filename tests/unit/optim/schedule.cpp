// Learning rates against their closed forms.
#include "optim/schedule.hpp"

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numbers>

#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

Schedule schedule(const std::vector<std::string>& overrides, std::int64_t per_epoch, std::int64_t total) {
  return Schedule(Deck("[model]\ninput = 1\nlayer = relu\n", "test", overrides), per_epoch, total);
}

void near(double found, double expected) { BOOST_TEST(std::abs(found - expected) <= 1e-12 * (1e-3 + std::abs(expected)), found << " is not " << expected); }

}  // namespace

BOOST_AUTO_TEST_SUITE(schedules)

BOOST_AUTO_TEST_CASE(follow_their_closed_forms) {
  RandomStream random(test_seed());
  for (int i = 0; i < 200; ++i) {
    const std::int64_t per_epoch = draw(random, 1, 50), epochs = draw(random, 1, 12), total = per_epoch * epochs;
    const std::int64_t warm_epochs = draw(random, 0, std::min<std::int64_t>(epochs, 3)), every = draw(random, 1, 4), warm = warm_epochs * per_epoch;
    const double lr = random.uniform(1e-4, 1), gamma = random.uniform(0.01, 1), last = random.uniform();
    for (const std::string kind : {"constant", "step", "cosine", "linear"}) {
      const auto exact = [](double v) { return fmt::format("{}", v); };
      const Schedule s = schedule({"schedule.kind=" + kind, "optimizer.lr=" + exact(lr), "schedule.gamma=" + exact(gamma), "schedule.final=" + exact(last),
                                   "schedule.every=" + std::to_string(every), "schedule.warmup=" + std::to_string(warm_epochs)},
                                  per_epoch, total);
      BOOST_TEST_CONTEXT("seed " << test_seed() << " case " << i << " " << kind << " warm-up " << warm << " of " << total << " steps") {
        for (std::int64_t step = 0; step <= total; ++step) {
          if (step < warm) {
            near(s.at(step), lr * static_cast<double>(step + 1) / static_cast<double>(warm));
            continue;
          }
          const double since = static_cast<double>(step - warm), all = static_cast<double>(std::max<std::int64_t>(total - warm, 1));
          double expected = lr;
          if (kind == "step")
            for (std::int64_t done = every * per_epoch; done <= step - warm; done += every * per_epoch) expected *= gamma;
          if (kind == "cosine") expected = lr * (last + (1 - last) * (1 + std::cos(std::numbers::pi * since / all)) / 2);
          if (kind == "linear") expected = lr * (last * since / all + 1 - since / all);
          near(s.at(step), expected);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(have_the_right_ends) {
  for (const std::string kind : {"cosine", "linear"}) {
    const Schedule s = schedule({"schedule.kind=" + kind, "optimizer.lr=0.5", "schedule.final=0.1", "schedule.warmup=2"}, 10, 100);
    near(s.at(0), 0.5 / 20);
    near(s.at(19), 0.5);  // the last step of the warmup has the peak learning rate
    near(s.at(20), 0.5);  // and so has the first one after it
    near(s.at(100), 0.05);
    near(s.at(1000), 0.05);  // a run that is extended stays there
    for (std::int64_t step = 20; step < 100; ++step) BOOST_TEST(s.at(step + 1) < s.at(step));
  }
}

BOOST_AUTO_TEST_CASE(warm_up_may_be_part_of_an_epoch_or_longer_than_the_run) {
  const Schedule part = schedule({"optimizer.lr=1", "schedule.warmup=0.25"}, 40, 400);
  near(part.at(4), 0.5), near(part.at(9), 1), near(part.at(10), 1);
  const Schedule longer = schedule({"optimizer.lr=1", "schedule.kind=cosine", "schedule.warmup=3"}, 10, 20);
  for (std::int64_t step = 0; step < 20; ++step) near(longer.at(step), static_cast<double>(step + 1) / 30);
  const Schedule none = schedule({"optimizer.lr=1", "schedule.kind=cosine"}, 10, 0);
  BOOST_TEST(std::isfinite(none.at(0)));
}

BOOST_AUTO_TEST_SUITE_END()
