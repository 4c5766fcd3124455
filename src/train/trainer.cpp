// The run: its steps, and the work between them.
#include "train/trainer.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "comm/message_queue.hpp"
#include "run/watchdog.hpp"

namespace trireme {

template <class T>
ExitCode Trainer<T>::run() {
  if (complete_) return report_complete();
  const Watchdog watchdog(run_.comm, run_.deck.real("run.hang_timeout"), files_.path(), files_.token());
  try {
    return run_steps();
  } catch (const std::exception& error) {
    // If only some ranks fail, the job ends here, before memory is freed that messages of other ranks may still use.
    abort_on_partial_failure(run_.comm, error);
    throw;
  }
}

template <class T>
ExitCode Trainer<T>::run_steps() {
  begin_run();
  complete_open_epoch();
  while (!is_done() && !stop_.stop_requested()) {
    if (hook_ != nullptr && !hook_->before_step(*this)) {
      stop_.request_stop();
      break;
    }
    const std::int64_t before = progress().step;
    step();
    if (progress().step > before)
      after_step();
    else  // rolled back
      complete_open_epoch();
  }
  return end_run();
}

template <class T>
void Trainer<T>::begin_run() {
  if (is_done()) log_nothing_to_do();
  if (hook_ != nullptr) hook_->begin(*this);
  if (!is_done()) {
    begin();
    checkpoints_.prepare();
  }
  recorder_.start_clock();
  if (recovery_.rolls_back() && checkpoints_.last_step() < 0) checkpoints_.write();  // the first rollback needs a checkpoint
  stop_.checkpoint_began();
}

template <class T>
void Trainer<T>::after_step() {
  if (hook_ != nullptr) hook_->after_step(*this);
  const std::int64_t step = progress().step, log_every = run_.deck.integer("train.log_every"), save_every = run_.deck.integer("checkpoint.every");
  const bool last = step == plan_.total_steps();
  if (step % log_every == 0 || last) recorder_.record_step(last_loss_);
  const bool due = hook_ != nullptr ? hook_->may_save(*this, stop_.checkpoint_due()) : stop_.checkpoint_due();
  // Before the evaluation, because an error in its data may end the run.
  if (due || (save_every > 0 && step % save_every == 0) || last) checkpoints_.write();
  if (progress().batch == 0) end_epoch();
}

template <class T>
ExitCode Trainer<T>::end_run() {
  bool stopped = stop_.stop_requested() && (!is_done() || epoch_is_open());
  checkpoints_.write();
  checkpoints_.finish();
  if (hook_ != nullptr) hook_->end(*this, stopped && !is_done());
  // A run that ends within an epoch, or was complete before it began, still evaluates its final parameters.
  for (auto* evaluation : {&validation_, &evaluation_})
    if (!stopped && evaluation->exists() && !evaluation->is_current()) stopped = !evaluate(*evaluation);
  const bool sound = stopped || (evaluation_.fault().empty() && validation_.fault().empty());
  RunEnd end{.stopped = stopped, .sound = sound, .test = evaluation_.metrics(), .skipped = recovery_.skipped(), .rollbacks = recovery_.rollbacks()};
  end.validation = validation_.metrics();
  if (progress().quality.best_step >= 0 && quality_.keeps_best()) {
    end.best = quality_.best_json(progress().quality);
    end.best_text = fmt::format("best: {} at step {}, kept as checkpoints/best.h5", quality_.best_text(progress().quality), progress().quality.best_step);
  }
  if (!stopped && !plan_.is_complete(progress())) end.reason = quality_.end_reason(progress().quality);
  if (stopped) {
    end.reason = stop_.reason();
    end.evaluation_left = epoch_is_open() || progress().step == plan_.total_steps();
  }
  recorder_.end(end, balance_.balancer());
  return stopped ? ExitCode::requeue : sound ? ExitCode::done : ExitCode::numerical;
}

template <class T>
std::string Trainer<T>::end_fault() const {
  const bool of_test = !evaluation_.fault().empty();
  const TestEvaluation<T>& faulty = of_test ? evaluation_ : validation_;
  return fmt::format("the {} loss after the last step ({}) is {}; the last checkpoint and the records are complete: {}", of_test ? "test" : "validation",
                     progress().step, faulty.metrics()->loss, faulty.fault());
}

template <class T>
ExitCode Trainer<T>::report_complete() {
  log_nothing_to_do();
  for (auto* evaluation : {&validation_, &evaluation_})
    if (evaluation->exists()) evaluate(*evaluation);
  log::info("parameters sha256 {}", parameters_sha256(network_, &run_.grid));
  const bool sound = evaluation_.fault().empty();
  if (const auto& test = evaluation_.metrics())
    log::info("{}: test {}", sound ? "done" : "ended", test->text());
  else
    log::info("done");
  return sound ? ExitCode::done : ExitCode::numerical;
}

template <class T>
void Trainer<T>::log_nothing_to_do() const {
  if (plan_.is_complete(progress()))
    log::info("nothing to do: step {} of {} is already reached", progress().step, plan_.total_steps());
  else
    log::info("nothing to do: {}. Hint: change train.patience or train.target to train on", quality_.end_reason(progress().quality));
}

template <class T>
void Trainer<T>::complete_open_epoch() {
  if (!epoch_is_open()) return;
  const nlohmann::json recorded = files_.directory().find_event(run_.comm, "epoch", progress().step);
  if (recorded.is_null()) return end_epoch();
  close_epoch();
  // The checkpoint is older than the evaluation of its step: the record gives the same decision.
  if (const auto measured = recorded.find(quality_.source()); measured != recorded.end()) judge(*measured);
}

template <class T>
void Trainer<T>::close_epoch() {
  state_.progress().epoch_loss = 0;
  state_.progress().epoch_samples = 0;
}

template <class T>
void Trainer<T>::end_epoch() {
  const std::int64_t epoch = plan_.epochs_in(progress().step);
  const double seconds = recorder_.seconds();
  std::optional<double> loss;
  if (progress().epoch_samples > 0) loss = forward_backward_.loss().mean(progress().epoch_loss, progress().epoch_samples);
  std::optional<Metrics> test, validation;
  const bool last = progress().step == plan_.total_steps();
  if (evaluation_.is_due(epoch, last) || validation_.is_due(epoch, last)) {
    // The first evaluation of the run: it may find errors in the data.
    if (evaluation_.is_first(epoch)) checkpoints_.write();
    if (stop_.stop_requested()) return;
    const Timer timer;
    {
      const Trace::Phase phase = profiler_.phase(RunPhase::evaluate);
      if (validation_.exists()) validation = evaluate(validation_);
      if (evaluation_.exists() && (validation || !validation_.exists())) test = evaluate(evaluation_);
    }
    if ((evaluation_.exists() && !test) || (validation_.exists() && !validation)) return stop_.request_stop();
    recorder_.count_pause(timer.seconds());
  }
  close_epoch();
  recorder_.record_epoch(epoch, seconds, loss, test, validation);
  if (const auto& decides = validation_.exists() ? validation : test) judge(decides->json());
}

template <class T>
void Trainer<T>::judge(const nlohmann::json& metrics) {
  QualityState& state = state_.progress().quality;
  const std::int64_t step = progress().step;
  const Quality::Verdict verdict = quality_.observe(metrics, step, state);
  if (verdict.improved) {
    log::info("best so far: {}", quality_.best_text(state));
    checkpoints_.write_best();
  }
  if (verdict.reduced) log::info("plateau: the learning rate is multiplied by {:.4g} from here", state.plateau_factor);
  if (verdict.reached) recorder_.record_target(quality_.target_text(state), quality_.target_json(state));
}

template <class T>
std::optional<Metrics> Trainer<T>::evaluate(TestEvaluation<T>& evaluation) {
  try {
    // The first evaluation of a process is not interrupted for the time limit; otherwise a run could be restarted forever without progress.
    return evaluation.run([this] { return recorder_.made_progress() ? stop_.wants_stop() : stop_.signal_received(); });
  } catch (const Error&) {
    // All ranks have the error if each has a whole model: a checkpoint keeps the progress.
    if (files_.is_open() && run_.grid.shape().model_ranks() == 1) checkpoints_.write_after_error();
    throw;
  }
}

#define TRIREME_INSTANTIATE(T)         \
  template ExitCode Trainer<T>::run(); \
  template std::string Trainer<T>::end_fault() const;
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
