#include "train/step_plan.hpp"

#include <algorithm>

#include "base/checked.hpp"

namespace trireme {

namespace {

/// `steps`, or train.steps if that is smaller.
std::int64_t limited(const Deck& deck, std::int64_t steps) {
  const std::int64_t limit = deck.integer("train.steps");
  return limit > 0 ? std::min(steps, limit) : steps;
}

}  // namespace

StepPlan::StepPlan(const Deck& deck, std::int64_t samples, std::int64_t batches)
    : deck_(deck),
      samples_(samples),
      batches_(batches),
      batch_(deck.integer("data.batch")),
      accumulate_(deck.integer("train.accumulate")),
      epoch_steps_((batches + accumulate_ - 1) / accumulate_),
      total_steps_(limited(
          deck, checked_mul(deck.integer("train.epochs"), epoch_steps_, "train.epochs = {} times the steps of an epoch", deck.integer("train.epochs")))),
      schedule_(deck, epoch_steps_, total_steps_) {}

void StepPlan::continue_at(Progress& progress) {
  progress.epoch_steps = epoch_steps_;
  offset_ = progress.step - progress.epoch * epoch_steps_ - progress.batch / accumulate_;
  total_steps_ = limited(deck_, deck_.integer("train.epochs") * epoch_steps_ + offset_);
  schedule_ = Schedule(deck_, epoch_steps_, total_steps_);
}

StepPlan::Step StepPlan::step_at(const Progress& progress) const {
  const std::int64_t batches = std::min(accumulate_, batches_ - progress.batch), first = progress.batch * batch_;
  return {batches, std::min(first + batches * batch_, samples_) - first};
}

void StepPlan::advance(Progress& progress, const Step& step) const {
  ++progress.step;
  progress.batch += step.batches;
  if (progress.batch == batches_) ++progress.epoch, progress.batch = 0;
}

std::int64_t StepPlan::samples_in(std::int64_t step) const {
  const std::int64_t counted = step - offset_;
  return counted / epoch_steps_ * samples_ + std::min(counted % epoch_steps_ * accumulate_ * batch_, samples_);
}

}  // namespace trireme
