#include "train/nonfinite_recovery.hpp"

#include "base/error.hpp"
#include "base/log.hpp"

namespace trireme {

template <class T>
NonfiniteRecovery<T>::NonfiniteRecovery(RunContext& run, TrainState<T>& state, RunRestore<T>& restore, RunCheckpoints<T>& checkpoints, RunFiles& files)
    : run_(run), state_(state), restore_(restore), checkpoints_(checkpoints), files_(files), policy_(run.deck.text("numerics.on_nonfinite")) {
  if (!stops()) check_.emplace(state.network(), run.grid, state.reducer().shards().whole());
}

template <class T>
bool NonfiniteRecovery<T>::handle_nonfinite(double loss) {
  if (!rolls_back()) {
    skip(loss);
    return false;
  }
  roll_back();
  return true;
}

template <class T>
void NonfiniteRecovery<T>::skip(double loss) {
  const std::int64_t step = state_.progress().step;
  ++skipped_;
  ++skipped_in_row_;
  files_.directory().event({{"event", "skip"}, {"step", step}, {"in_row", skipped_in_row_}});
  if (run_.is_root()) log::warn("step {} is skipped: its loss or a gradient is not finite (loss {}); no rank updated its parameters", step, loss);
  if (const std::int64_t tries = run_.deck.integer("numerics.tries"); skipped_in_row_ >= tries)
    throw fail(ExitCode::numerical,
               "step {}: the loss or a gradient was not finite in {} consecutive step(s) (numerics.tries = {}). Training cannot continue; "
               "checkpoints are kept. Hint: lower optimizer.lr, use a warmup, or set optimizer.clip_norm; if the newest checkpoint fails again, "
               "set checkpoint.resume to an older one",
               step, skipped_in_row_, tries);
}

template <class T>
std::filesystem::path NonfiniteRecovery<T>::find_rollback_checkpoint() const {
  // If the same checkpoint failed twice, its parameters may already be bad: use the one before it, if there is one.
  const std::int64_t last = checkpoints_.last_step();
  auto from = find_checkpoint(run_.comm, files_.path(), &run_.io, last + (last == rolled_back_to_ ? 0 : 1));
  if (!from) from = find_checkpoint(run_.comm, files_.path(), &run_.io);
  if (!from) throw checkpoint_error("run directory '{}' holds no checkpoint to roll back to", files_.path().string());
  return *from;
}

template <class T>
void NonfiniteRecovery<T>::roll_back() {
  Progress& progress = state_.progress();
  const std::int64_t failed = progress.step;
  const double scale = progress.lr_scale * run_.deck.real("numerics.rollback_lr");
  if (++rollbacks_ > run_.deck.integer("numerics.tries"))
    throw fail(ExitCode::numerical,
               "the loss or a gradient of step {} is not finite after {} rollbacks. Training cannot continue; checkpoints are kept. "
               "Hint: lower optimizer.lr, use a warmup, or set optimizer.clip_norm; if the newest checkpoint fails again, set checkpoint.resume to an "
               "older one",
               failed, rollbacks_ - 1);
  files_.checkpoints().finish(false);
  const auto from = find_rollback_checkpoint();
  restore_.restore(from, &run_.io);
  // The learning rate stays lower until the end of the run.
  progress.lr_scale = scale;
  rolled_back_to_ = progress.step;
  checkpoints_.set_last_step(progress.step);
  if (run_.is_root()) {
    log::warn("rolled back from step {} (loss or gradient not finite) to '{}' (step {}); the learning rate is now {} times that of the deck", failed,
              from.string(), progress.step, scale);
    files_.directory().drop_after(progress.step);
  }
  files_.directory().event({{"event", "rollback"}, {"step", progress.step}, {"from", failed}, {"lr_scale", scale}});
}

template class NonfiniteRecovery<float>;
template class NonfiniteRecovery<double>;

}  // namespace trireme
