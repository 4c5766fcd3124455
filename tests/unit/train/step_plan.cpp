// The number of steps of a run, and the batches of each step.
#include "train/step_plan.hpp"

#include <boost/test/unit_test.hpp>

#include "base/error.hpp"

using namespace trireme;

namespace {

Deck deck_of(const std::vector<std::string>& overrides) {
  return Deck("[data]\ntrain = a\nbatch = 10\n[model]\ninput = 4\nlayer = linear out=1\n[loss]\nkind = mse\n[optimizer]\nlr = 0.5\n", "test", overrides);
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_epoch_has_each_sample_once) {
  const Deck deck = deck_of({"train.epochs=2", "train.accumulate=3"});
  const StepPlan plan(deck, 95, 10);
  BOOST_TEST(plan.epoch_steps() == 4);
  BOOST_TEST(plan.total_steps() == 8);
  Progress progress;
  std::int64_t samples = 0;
  while (!plan.is_complete(progress)) {
    BOOST_TEST(plan.samples_in(progress.step) == samples);
    BOOST_TEST(plan.epochs_in(progress.step) == progress.epoch);
    const StepPlan::Step step = plan.step_at(progress);
    BOOST_TEST(step.batches == (progress.step % 4 == 3 ? 1 : 3));
    BOOST_TEST(step.samples == (progress.step % 4 == 3 ? 5 : 30));
    samples += step.samples;
    plan.advance(progress, step);
  }
  BOOST_TEST(samples == 2 * 95);
  BOOST_TEST(progress.step == 8);
  BOOST_TEST(progress.epoch == 2);
  BOOST_TEST(progress.batch == 0);
}

BOOST_AUTO_TEST_CASE(train_steps_ends_a_run_early) {
  const Deck few = deck_of({"train.epochs=2", "train.steps=7"}), many = deck_of({"train.epochs=2", "train.steps=70"});
  BOOST_TEST(StepPlan(few, 95, 10).total_steps() == 7);
  BOOST_TEST(StepPlan(many, 95, 10).total_steps() == 20);
}

BOOST_AUTO_TEST_CASE(a_continued_run_counts_the_updates_of_before) {
  // 12 steps of 5 each epoch, then epochs of 10.
  const Deck deck = deck_of({"train.epochs=4"});
  StepPlan plan(deck, 95, 10);
  Progress progress{.step = 12, .epoch = 2, .batch = 2, .epoch_samples = 20, .epoch_steps = 5};
  plan.continue_at(progress);
  BOOST_TEST(progress.epoch_steps == 10);
  BOOST_TEST(plan.total_steps() == 4 * 10 - 10);  // of two epochs 10 steps fewer were made
  BOOST_TEST(plan.epochs_in(progress.step) == 2);
  BOOST_TEST(plan.learning_rate(progress, 0) == 0.5);
  progress.lr_scale = 0.1;
  BOOST_TEST(plan.learning_rate(progress, 0) == 0.05);
}

BOOST_AUTO_TEST_CASE(too_many_steps_are_refused) {
  const Deck deck = deck_of({"train.epochs=1000000000"});
  BOOST_CHECK_THROW(StepPlan(deck, std::int64_t{1} << 50, std::int64_t{1} << 50), Error);
}
