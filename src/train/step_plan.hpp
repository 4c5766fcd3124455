// The number of steps of a run, the batches of each step, and the learning rate.
//
// Owns the number of steps and the learning-rate schedule. A resumed run also counts the updates of its earlier starts, even if an epoch had another number of
// steps then. Nothing here is collective; every rank computes the same values.
#pragma once

#include <cstdint>

#include "config/deck.hpp"
#include "optim/schedule.hpp"
#include "train/snapshot.hpp"

namespace trireme {

class StepPlan {
 public:
  /// `samples` and `batches`: per epoch. `deck` must outlive the plan. Throws a usage error if train.epochs times the steps of an epoch overflows.
  StepPlan(const Deck& deck, std::int64_t samples, std::int64_t batches);

  /// Fits the plan to a run that resumes at `progress`, and sets the current number of steps per epoch in `progress`.
  void continue_at(Progress& progress);

  /// The part of an epoch that one step uses.
  struct Step {
    std::int64_t batches, samples;
  };
  Step step_at(const Progress& progress) const;
  /// Advances `progress` past that step.
  void advance(Progress& progress, const Step& step) const;

  std::int64_t batch() const { return batch_; }            // samples of a global batch
  std::int64_t accumulate() const { return accumulate_; }  // batches per step
  std::int64_t epoch_samples() const { return samples_; }
  std::int64_t epoch_steps() const { return epoch_steps_; }
  std::int64_t total_steps() const { return total_steps_; }
  bool is_complete(const Progress& progress) const { return progress.step >= total_steps_; }
  /// Number of complete epochs in the first `step` steps.
  std::int64_t epochs_in(std::int64_t step) const { return (step - offset_) / epoch_steps_; }
  /// Number of training samples in the first `step` steps.
  std::int64_t samples_in(std::int64_t step) const;
  /// Learning rate of update number `step`, counted from 0.
  double learning_rate(const Progress& progress, std::int64_t step) const { return progress.lr_scale * progress.quality.plateau_factor * schedule_.at(step); }
  const Schedule& schedule() const { return schedule_; }

 private:
  const Deck& deck_;
  std::int64_t samples_, batches_;
  std::int64_t batch_, accumulate_;
  std::int64_t epoch_steps_, total_steps_;
  std::int64_t offset_ = 0;  // steps of this run minus the steps of its finished epochs; not 0 if a restart changed the length of an epoch
  Schedule schedule_;
};

}  // namespace trireme
