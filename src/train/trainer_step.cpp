// A step: the gradients of its batches, their reduction, the update, and the agreement of all ranks.
#include <cmath>

#include "base/error.hpp"
#include "comm/rank_status.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "train/trainer.hpp"

namespace trireme {

template <class T>
void Trainer<T>::step() {
  const StepPlan::Step step = plan_.step_at(progress());
  const StepFlags flags = begin_step();
  accumulate_gradients(step, flags);
  reduce_gradients();
  normalize_gradients(step.samples);
  const bool finite = recovery_.allows_update();
  if (finite) update_parameters(step.samples);
  prefetch_batch();
  account(step);
  profiler_.end_step();
  if (!finite) return recover();
  recovery_.step_succeeded();
  rebalance();
}

template <class T>
StepFlags Trainer<T>::begin_step() {
  record_step(progress().step + 1);
  StepFlags flags = stop_.wants();
  flags.fault = files_.is_open() && files_.checkpoints().poll();
  balance_.begin_step();
  profiler_.begin_step();
  return flags;
}

template <class T>
void Trainer<T>::accumulate_gradients(const StepPlan::Step& step, const StepFlags& flags) {
  network_.zero_gradients(run_.exec);
  profiler_.mark(StepPart::zero_gradients);
  for (std::int64_t b = 0; b < step.batches; ++b)
    accumulate_batch(
        {.step = progress().step, .samples_before = b * plan_.batch(), .step_samples = step.samples, .last = b + 1 == step.batches, .flags = flags});
}

template <class T>
void Trainer<T>::accumulate_batch(const BatchInStep& place) {
  const HostBatch* batch = nullptr;
  {
    const Trace::Phase phase = profiler_.phase(RunPhase::data_wait);
    if (place.samples_before > 0) run_.exec.fence("trireme::trainer: the batch before is not read any more");
    batch = &loader_.next();
    profiler_.mark(StepPart::data);
  }
  const Timer timer;
  forward_backward_.run(*batch, place);
  if (!balance_.measures()) return;
  run_.exec.fence("trireme::trainer: the batch's work is measured");
  balance_.add_work(timer.seconds(), batch->count);
}

template <class T>
void Trainer<T>::reduce_gradients() {
  const Trace::Phase phase = profiler_.phase(RunPhase::reduce);
  state_.finish_reduction();
  profiler_.mark(StepPart::reduce);
}

template <class T>
void Trainer<T>::normalize_gradients(std::int64_t samples) {
  if (!forward_backward_.loss().weighted()) return;
  outcome_ = forward_backward_.outcome();
  const double factor = forward_backward_.loss().gradient_scale(outcome_->weight, samples);
  outcome_->loss_sum *= factor;
  if (factor != 1) scale<T>(run_.exec, network_.arena_size(), static_cast<T>(factor), network_.gradients(), network_.gradients());
}

template <class T>
void Trainer<T>::update_parameters(std::int64_t samples) {
  const Trace::Phase phase = profiler_.phase(RunPhase::update);
  state_.update(plan_.learning_rate(progress(), progress().step), samples);
  profiler_.mark(StepPart::update);
}

// While the device still computes this step; the host would only wait.
template <class T>
void Trainer<T>::prefetch_batch() {
  if (on_host || progress().step + 1 >= plan_.total_steps()) return;
  const Trace::Phase phase = profiler_.phase(RunPhase::data_wait);
  loader_.prefetch();
}

template <class T>
void Trainer<T>::account(const StepPlan::Step& step) {
  const StepOutcome outcome = outcome_ ? *outcome_ : forward_backward_.outcome();
  outcome_.reset();
  last_loss_ = forward_backward_.loss().mean(outcome.loss_sum, step.samples);
  stop_.agree(outcome.flags);
  recorder_.count_samples(step.samples);
  Progress& progress = state_.progress();
  if (std::isfinite(outcome.loss_sum)) progress.epoch_loss += outcome.loss_sum, progress.epoch_samples += step.samples;
  plan_.advance(progress, step);
  if (outcome.flags.fault) files_.checkpoints().raise();
  require_finite_loss();
  profiler_.mark(StepPart::account);
}

template <class T>
void Trainer<T>::require_finite_loss() const {
  // A domain error comes from the network or the data; skipping the step or going back to a checkpoint cannot help.
  if (const std::string fault = forward_backward_.loss().domain_fault(last_loss_); !fault.empty())
    throw fail(ExitCode::numerical, "step {}: {}", progress().step, fault);
  if (recovery_.stops() && !std::isfinite(last_loss_))
    throw fail(ExitCode::numerical,
               "the loss of step {} is {}. Training cannot continue; checkpoints are kept. Hint: lower optimizer.lr, use a warmup, set "
               "optimizer.clip_norm, or set numerics.on_nonfinite = skip or rollback. If the newest checkpoint fails again, set checkpoint.resume to an "
               "older one",
               progress().step, last_loss_);
}

template <class T>
void Trainer<T>::recover() {
  if (!recovery_.handle_nonfinite(last_loss_)) return;
  stop_.withdraw_stop();
  begin();
}

template <class T>
void Trainer<T>::rebalance() {
  const auto shares = balance_.end_step(profiler_.step_seconds());
  if (!shares) return;
  // Not for the next batch, which the device may have copied already.
  loader_.set_shares(*shares, progress().epoch, progress().batch + 1);
  recorder_.record_shares(*balance_.balancer());
}

#define TRIREME_INSTANTIATE(T) template void Trainer<T>::step();
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
