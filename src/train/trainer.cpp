#include "train/trainer.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/share.hpp"
#include "comm/mailbox.hpp"
#include "train/standardization.hpp"
#include "train/watchdog.hpp"

namespace trireme {

namespace {

constexpr std::size_t loss_slot = 0;   // control(0): sum of the batch's losses
constexpr std::size_t stop_slot = 1;   // control(1): ranks that were told to stop
constexpr std::size_t fault_slot = 2;  // control(2): ranks that met what ends the run with an error
constexpr std::size_t save_slot = 3;   // control(3): whether rank 0 says that it is time for a checkpoint

// nvcc allows no kernel in a private member function.
template <class T>
void add_to_control(const Execution& exec, Span<const double> loss, double share, T stop, T fault, T save, Span<T> control) {
  Kokkos::parallel_for("trireme::trainer::control", Range(exec, 0, 1), KOKKOS_LAMBDA(std::int64_t) {
    if (share > 0) control(loss_slot) += static_cast<T>(share * loss(0));
    control(stop_slot) = stop;
    control(fault_slot) = fault;
    control(save_slot) = save;
  });
}

}  // namespace

template <class T>
void Trainer<T>::step() {
  const Timer timer;
  own_ = {};
  const std::int64_t batches = std::min(accumulate_, batches_.batches() - progress_.batch), first = progress_.batch * batch_;
  const std::int64_t samples = std::min(first + batches * batch_, train_data_.size()) - first;
  now_in_step(progress_.step + 1);
  wants_stop_ = wants_stop();
  wants_save_ = comm_.rank() == 0 && save_after_ > 0 && since_checkpoint_.seconds() >= save_after_;
  grid_.meters().begin_step();
  if (profile_) profile_->begin_step(exec_);
  network_.zero_gradients(exec_);
  mark(parts_.zero);
  for (std::int64_t b = 0; b < batches; ++b) accumulate(b * batch_, samples, b + 1 == batches);
  {
    const Trace::Phase phase(trace_, "reduce", seconds_.reduce);
    reducer_.finish(exec_);
    mark(parts_.reduce);
  }
  const bool finite = !finite_check_ || finite_check_->passes(exec_);
  if (finite) {
    const Trace::Phase phase(trace_, "update", seconds_.update);
    optimizer_.update(exec_, progress_.lr_scale * schedule_.at(progress_.step), progress_.step);
    reducer_.begin_gather(exec_, network_.values());
    network_.update_buffers(exec_, samples);
    reducer_.finish_gather(exec_);
    if (average_) average_->update(exec_, progress_.step);
    mark(parts_.update);
  }
  if (!on_host && progress_.step + 1 < total_steps_) prefetch();
  account(samples, batches);
  mark(parts_.account);
  if (profile_) profile_->end_step();
  grid_.meters().end_step();
  seconds_.step += timer.seconds();
  if (!finite) return meet_nonfinite();
  skipped_in_row_ = 0;
  if (balancer_) balance(timer.seconds());
}

template <class T>
void Trainer<T>::accumulate(std::int64_t before, std::int64_t samples, bool last) {
  const HostBatch* batch = nullptr;
  {
    const Trace::Phase phase(trace_, "data wait", seconds_.data);
    if (before > 0) exec_.fence("trireme::trainer: the batch before is not read any more");
    batch = &next_batch();
    mark(parts_.data);
  }
  const Timer timer;
  train_on(*batch, before, samples, last);
  if (!balancer_ && !slow_down_.active()) return;
  exec_.fence("trireme::trainer: the batch's work is measured");
  slow_down_.after(timer.seconds());
  own_.seconds += timer.seconds();
  own_.samples += batch->count;
}

template <class T>
void Trainer<T>::train_on(const HostBatch& batch, std::int64_t before, std::int64_t samples, bool last) {
  if (lanes_ == 0) return train_on_slice(batch, before, samples, last);
  const Share own = share_of(lanes_, grid_.place().data, grid_.shape().data);
  for (std::int64_t lane = own.first; lane < own.first + own.count; ++lane) {
    const Share slice = share_of(batch.global_count, static_cast<int>(lane), static_cast<int>(lanes_));
    const bool last_lane = lane + 1 == own.first + own.count;
    if (!on_host && lane > own.first) exec_.fence("trireme::trainer: staging memory is not read any more");
    train_on_slice(part_of(batch, slice.first - batch.first, slice.count), before, samples, last && last_lane);
    if (!last_lane) reducer_.end_lane(exec_);
  }
}

template <class T>
void Trainer<T>::train_on_slice(const HostBatch& batch, std::int64_t before, std::int64_t samples, bool last) {
  const auto parts = static_cast<std::int64_t>(passes_.size());
  const auto slice_of_share = [&](std::int64_t m) { return share_of(batch.count, static_cast<int>(m), static_cast<int>(parts)); };
  for (std::int64_t m = 0; m < parts; ++m) {
    const Share part = slice_of_share(m);
    passes_[static_cast<std::size_t>(m)] = {.exec = exec_,
                                            .samples = part.count,
                                            .training = true,
                                            .seed = stream_seed_,
                                            .step = progress_.step,
                                            .first_sample = before + batch.first + part.first,
                                            .copies = grid_.shape().spatial_ranks(),
                                            .fixed_order = lanes_ > 0,
                                            .sum_over = sharer_sums_.function()};
  }
  if (parts == 1) {
    forward(passes_[0], batch, samples);
    if (!replays_) backward(passes_[0], last);
    return;
  }
  // One forward, one backward (Narayanan et al. 2019, PipeDream-Flush): a stage is as many micro-batches ahead as there are stages behind it, and keeps
  // no more than these.
  const std::int64_t ahead = std::min<std::int64_t>(grid_.shape().pipeline - grid_.place().pipeline - 1, parts);
  const auto select = [&](std::int64_t m) { network_.select(static_cast<int>(m % network_.slots())); };
  for (std::int64_t m = 0; m < parts + ahead; ++m) {
    if (m < parts) {
      const Share part = slice_of_share(m);
      if (!on_host) exec_.fence("trireme::trainer: staging memory is not read any more");
      select(m);
      forward(passes_[static_cast<std::size_t>(m)], part_of(batch, part.first, part.count), samples);
    }
    if (m >= ahead) {
      select(m - ahead);
      backward(passes_[static_cast<std::size_t>(m - ahead)], last && m - ahead + 1 == parts);
    }
  }
}

template <class T>
void Trainer<T>::forward(const Pass& pass, const HostBatch& batch, std::int64_t samples) {
  const Trace::Phase phase(trace_, "forward", seconds_.forward);
  const T stop = wants_stop_ ? T{1} : T{0}, fault = keeper_ && keeper_->poll() ? T{1} : T{0}, save = wants_save_ ? T{1} : T{0};
  const Targets<T> targets = stager_.load(pass, batch, network_.input());
  mark(parts_.stage);
  // Ranks that have the same outputs count one sample's loss once together.
  const std::int64_t copies = network_.output_box() ? 1 : pass.copies;
  const double share = network_.place().last_stage() ? 1 / static_cast<double>(copies) : 0;
  if (replays_) {
    replay(pass, samples, targets);
    return add_to_control<T>(exec_, loss_.value(), share, stop, fault, save, network_.control());
  }
  network_.forward(pass);
  if (network_.place().last_stage()) loss_.apply(exec_, pass.samples, samples * copies, network_.output(), targets, network_.output_gradient());
  add_to_control<T>(exec_, loss_.value(), share, stop, fault, save, network_.control());
  mark(parts_.loss);
}

template <class T>
void Trainer<T>::backward(const Pass& pass, bool last) {
  const Trace::Phase phase(trace_, "backward", seconds_.backward);
  network_.backward(pass, [&](std::int64_t offset) {
    if (last) reducer_.ready(exec_, offset);
  });
}

template <class T>
void Trainer<T>::replay(const Pass& pass, std::int64_t samples, const Targets<T>& targets) {
  const auto place = [](const void* memory) { return static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(memory)); };
  recording_.run(exec_, {pass.samples, samples, place(targets.classes.data()), place(targets.values.data())}, [&] {
    network_.forward(pass);
    loss_.apply(exec_, pass.samples, samples, network_.output(), targets, network_.output_gradient());
    network_.backward(pass, [](std::int64_t) {});
  });
}

template <class T>
void Trainer<T>::prefetch() {
  const Trace::Phase phase(trace_, "data wait", seconds_.data);
  try {
    prefetched_ = &batches_.next();
    if (passes_.size() == 1 && lanes_ == 0) stager_.stage(*prefetched_);
  } catch (const Error&) {
    prefetch_error_ = std::current_exception();
  }
}

template <class T>
const HostBatch& Trainer<T>::next_batch() {
  if (prefetch_error_) std::rethrow_exception(std::exchange(prefetch_error_, nullptr));
  const HostBatch* const taken = std::exchange(prefetched_, nullptr);
  return taken != nullptr ? *taken : batches_.next();
}

template <class T>
void Trainer<T>::account(std::int64_t samples, std::int64_t batches) {
  Kokkos::deep_copy(exec_, control_, slice<T>(network_.control(), 0, control_read));
  exec_.fence("trireme::trainer: the step's loss to the host");
  double loss = static_cast<double>(control_(loss_slot)), stops = static_cast<double>(control_(stop_slot)),
         faults = static_cast<double>(control_(fault_slot)), saves = static_cast<double>(control_(save_slot));
  if (grid_.model().size() > 1) {
    std::array<double, 4> told{(grid_.place().tensor == 0 || loss_.is_part()) && network_.place().last_stage() ? loss : 0, stops, faults, saves};
    grid_.model().all_reduce(std::span<double>(told));
    loss = told[0], stops = told[1], faults = told[2], saves = told[3];
  }
  last_loss_ = loss_.mean(loss, samples);
  stop_ = stops > 0;
  save_ = saves > 0;
  if (std::isfinite(loss)) progress_.epoch_loss += loss, progress_.epoch_samples += samples;
  samples_done_ += samples;
  ++progress_.step;
  progress_.batch += batches;
  if (progress_.batch == batches_.batches()) ++progress_.epoch, progress_.batch = 0;
  if (faults > 0) keeper_->raise();
  // No other step mends what the network or the data are.
  if (const std::string fault = loss_.domain_fault(last_loss_); !fault.empty()) throw fail(ExitCode::numerical, "step {}: {}", progress_.step, fault);
  if (!finite_check_ && !std::isfinite(last_loss_))
    throw fail(ExitCode::numerical, "the loss of step {} is {}. Training cannot go on; checkpoints stay. Hint: lower optimizer.lr, warm up, set "
               "optimizer.clip_norm, or numerics.on_nonfinite = skip or rollback. A checkpoint of shortly before may lead here again: checkpoint.resume names an older one", progress_.step, last_loss_);
}

template <class T>
void Trainer<T>::balance(double step_seconds) {
  balancer_->add(own_.seconds, step_seconds, own_.samples);
  const auto shares = balancer_->decide();
  if (!shares) return;
  // Not from the next batch on, which a device has taken already.
  batches_.set_shares(*shares, progress_.epoch, progress_.batch + 1);
  log_shares();
}

template <class T>
std::int64_t Trainer<T>::samples_of(std::int64_t step) const {
  const std::int64_t counted = step - step_offset_;
  return counted / epoch_steps_ * train_data_.size() + std::min(counted % epoch_steps_ * accumulate_ * batch_, train_data_.size());
}

template <class T>
std::int64_t Trainer<T>::evaluation_batch() const {
  const std::int64_t wanted = deck_.integer("data.test_batch");
  return wanted > 0 && passes_.size() == 1 ? wanted : network_.largest_batch() * (lanes_ > 0 ? lanes_ : grid_.shape().data);
}

template <class T>
std::vector<Buffer<T>> Trainer<T>::model_arrays() const {
  std::vector<Buffer<T>> arrays{network_.value_arena(), network_.buffer_arena()};
  if (average_) arrays.push_back(average_->values());
  return arrays;
}

template <class T>
ExitCode Trainer<T>::run() {
  if (over_) return report_end();
  const Watchdog watchdog(comm_, deck_.real("run.hang_timeout"), directory_->path(), ownership_->token());
  try {
    return run_steps();
  } catch (const std::exception& error) {
    // Where only some ranks fail, the job ends here: before memory goes that other ranks' messages may still come to.
    end_where_some_fail(comm_, error);
    throw;
  }
}

template <class T>
ExitCode Trainer<T>::run_steps() {
  const std::int64_t log_every = deck_.integer("train.log_every"), save_every = deck_.integer("checkpoint.every");
  if (progress_.step >= total_steps_) log::info("nothing to do: step {} of {} is reached already", progress_.step, total_steps_);
  if (hook_ != nullptr) hook_->begin(*this);
  if (progress_.step < total_steps_) {
    begin();
    keeper_->prepare(with_moments(take_snapshot<T>(deck_, grid_, network_, optimizer_, average_ ? &*average_ : nullptr, reducer_, exec_, progress_), train_data_.names()).arrays);
  }
  clock_.reset();
  if (deck_.text("numerics.on_nonfinite") == "rollback" && last_checkpoint_ < 0) checkpoint();  // where to go back to
  since_checkpoint_.reset();
  take_up_epoch();
  while (progress_.step < total_steps_ && !stop_) {
    if (hook_ != nullptr && !hook_->before_step(*this)) {
      stop_ = true;
      break;
    }
    const std::int64_t before = progress_.step;
    step();
    if (progress_.step <= before) {  // rolled back
      take_up_epoch();
      continue;
    }
    if (hook_ != nullptr) hook_->after_step(*this);
    if (progress_.step % log_every == 0 || progress_.step == total_steps_) log_step();
    const bool in_time = hook_ != nullptr ? hook_->may_save(*this, save_) : save_;
    // Before the evaluation, whose data may be what ends the run.
    if (in_time || (save_every > 0 && progress_.step % save_every == 0) || progress_.step == total_steps_) checkpoint();
    if (progress_.batch == 0) end_epoch();
  }
  bool stopped = stop_ && (progress_.step < total_steps_ || epoch_open());
  checkpoint();
  keeper_->finish(true);
  if (hook_ != nullptr) hook_->end(*this, stopped && progress_.step < total_steps_);
  // A run that ends within an epoch, or was complete before it began, still says how good the network is that it leaves.
  if (!stopped && evaluator_ && measured_step_ != progress_.step) {
    last_metrics_ = measure();
    stopped = !last_metrics_;
  }
  finish(stopped);
  return stopped ? ExitCode::requeue : ExitCode::done;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace trireme
