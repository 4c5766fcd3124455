// What a run does about steps that are not finite.
#include "base/error.hpp"
#include "base/log.hpp"
#include "train/trainer.hpp"

namespace trireme {

template <class T>
void Trainer<T>::meet_nonfinite() {
  if (deck_.text("numerics.on_nonfinite") == "rollback") return roll_back();
  ++skipped_;
  ++skipped_in_row_;
  directory_->event({{"event", "skip"}, {"step", progress_.step}, {"in_row", skipped_in_row_}});
  if (comm_.rank() == 0) log::warn("step {} is skipped: its loss or a gradient is not finite (loss {}); no rank updated anything", progress_.step, last_loss_);
  if (const std::int64_t tries = deck_.integer("numerics.tries"); skipped_in_row_ >= tries)
    throw fail(ExitCode::numerical, "step {}: {} step(s) in a row had a loss or gradient that is not finite (numerics.tries = {}). Training cannot go on; "
               "checkpoints stay. Hint: lower optimizer.lr, warm up, or set optimizer.clip_norm; where the newest checkpoint leads here again, checkpoint.resume names an "
               "older one", progress_.step, skipped_in_row_, tries);
}

// Back to the newest checkpoint, with a lower rate to the end: what grew beyond all bounds does not in smaller steps. The order of the data stays, so that an
// epoch has each sample once. A run that is killed between a rollback and its next checkpoint takes the way once more, from the checkpoints that are there.
template <class T>
void Trainer<T>::roll_back() {
  const std::int64_t failed = progress_.step;
  const double scale = progress_.lr_scale * deck_.real("numerics.rollback_lr");
  if (++rollbacks_ > deck_.integer("numerics.tries"))
    throw fail(ExitCode::numerical, "the loss or a gradient of step {} is not finite after {} rollbacks. Training cannot go on; checkpoints stay. "
               "Hint: lower optimizer.lr, warm up, or set optimizer.clip_norm; where the newest checkpoint leads here again, checkpoint.resume names an older one", failed,
               rollbacks_ - 1);
  keeper_->finish(false);
  // One that led here twice, with no newer one in between, may hold parameters that are lost already: then the one before it, where there is one.
  const bool again = last_checkpoint_ == rolled_back_to_;
  auto from = find_checkpoint(comm_, directory_->path(), &io_, last_checkpoint_ + (again ? 0 : 1));
  if (!from) from = find_checkpoint(comm_, directory_->path(), &io_);
  if (!from) throw checkpoint_error("run directory '{}' holds no checkpoint to roll back to", directory_->path().string());
  progress_ = load_snapshot<T>(*from, comm_, network_, &optimizer_, average_ ? &*average_ : nullptr, &reducer_, &io_);
  fit_to_deck(*from, &io_);
  progress_.lr_scale = scale;
  rolled_back_to_ = last_checkpoint_ = logged_step_ = progress_.step;
  stop_ = false;
  prefetched_ = nullptr;
  prefetch_error_ = nullptr;
  begin();
  if (comm_.rank() == 0) {
    log::warn("rolled back from step {}, whose loss or a gradient is not finite, to '{}' (step {}); the learning rate is {} times the deck's from here on", failed,
              from->string(), progress_.step, scale);
    directory_->drop_after(progress_.step);
  }
  directory_->event({{"event", "rollback"}, {"step", progress_.step}, {"from", failed}, {"lr_scale", scale}});
}

template void Trainer<float>::meet_nonfinite();
template void Trainer<double>::meet_nonfinite();
template void Trainer<float>::roll_back();
template void Trainer<double>::roll_back();

}  // namespace trireme
