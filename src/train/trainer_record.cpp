// What a run tells and leaves: reports, evaluations, checkpoints, the profile.
#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "train/trainer.hpp"

namespace trireme {

template <class T>
void Trainer<T>::begin_profile() {
  profile_.emplace();
  const auto size = static_cast<std::int64_t>(sizeof(T));
  const std::int64_t samples = accumulate_ * share_, parameters = network_.parameter_count() * size,
                     input = samples * network_.local_input().size(), output = samples * network_.local_output().size();
  const auto states = static_cast<std::int64_t>(optimizer_.states().size());
  parts_.data = profile_->add("data", "wait for the batch", {});
  parts_.zero = profile_->add("gradients", "set to zero", {0, parameters});
  parts_.stage = profile_->add("input", "cast and normalise", {0, input * (size + static_cast<std::int64_t>(size_of(train_data_.feature_type())))});
  std::vector<std::size_t> forward(network_.layer_count()), backward(network_.layer_count());
  bool turned = false;
  const auto add_loss = [&] { parts_.loss = profile_->add("loss", deck_.text("loss.kind"), {0, 2 * output * size}); };
  for (const auto& one : network_.work(samples)) {
    if (one.backward && !turned) add_loss(), turned = true;
    (one.backward ? backward : forward)[one.layer] = profile_->add(one.name + (one.backward ? " <-" : ""), one.kind, one.work);
  }
  if (!turned) add_loss();
  parts_.reduce = profile_->add("reduce", "exposed", {});
  parts_.update = profile_->add("update", deck_.text("optimizer.kind"), {0, parameters * (3 + 2 * states)});
  parts_.account = profile_->add("account", "loss to the host", {});
  network_.observe([this, forward, backward](std::size_t layer, bool back) { mark((back ? backward : forward)[layer]); });
}

template <class T>
void Trainer<T>::log_step() {
  const double now = clock_.seconds(), spent = (now - logged_at_) - (pause_ - logged_pause_);
  const double rate = static_cast<double>(samples_done_ - logged_samples_) / std::max(spent, 1e-9);
  const double left = static_cast<double>(total_steps_ - progress_.step) * static_cast<double>(accumulate_ * batch_) / std::max(rate, 1e-9);
  const std::int64_t epoch = (progress_.step - 1) / epoch_steps_ + 1;
  const double lr = schedule_.at(progress_.step - 1);
  log::info("epoch {}/{}  step {}/{}  loss {:.4f}  lr {:.4g}  {:.0f} samples/s  {} left", epoch, deck_.integer("train.epochs"), progress_.step, total_steps_,
            last_loss_, lr, rate, human_seconds(left));
  directory_->event({{"event", "step"}, {"step", progress_.step}, {"epoch", epoch}, {"loss", last_loss_}, {"lr", lr}, {"samples_per_s", rate}, {"seconds", now}});
  logged_at_ = now;
  logged_pause_ = pause_;
  logged_samples_ = samples_done_;
  logged_step_ = progress_.step;
}

template <class T>
void Trainer<T>::end_epoch() {
  const std::int64_t epoch = progress_.step / epoch_steps_, every = deck_.integer("train.evaluate_every");
  nlohmann::json event{{"event", "epoch"},
                       {"epoch", epoch},
                       {"step", progress_.step},
                       {"train", {{"loss", loss_.mean(progress_.epoch_loss, progress_.epoch_samples)}}},
                       {"seconds", clock_.seconds()}};
  std::string text = fmt::format("epoch {} done: train loss {:.4f}", epoch, loss_.mean(progress_.epoch_loss, progress_.epoch_samples));
  if (evaluator_ && (epoch % every == 0 || progress_.step == total_steps_)) {
    const Timer timer;
    {
      const Trace::Phase phase(trace_, "evaluate", seconds_.evaluate);
      last_metrics_ = measure();
      measured_step_ = progress_.step;
    }
    event["test"] = last_metrics_->json();
    text += "  |  test " + last_metrics_->text();
    pause_ += timer.seconds();
  }
  progress_.epoch_loss = 0;
  progress_.epoch_samples = 0;
  log::info("{}", text);
  directory_->event(event);
}

template <class T>
Metrics Trainer<T>::measure() {
  if (average_) average_->exchange(exec_);
  const Metrics metrics = evaluator_->run(exec_);
  if (average_) average_->exchange(exec_);
  return metrics;
}

template <class T>
void Trainer<T>::remove_old_checkpoints() {
  const auto file = checkpoint_path(directory_->path(), progress_.step);
  if (comm_.rank() == 0) {
    // Those of later steps are damaged ones that were passed over, or left by a run that this one went back from: not of its past.
    const auto files = list_checkpoints(directory_->path());
    const auto latest = std::ranges::find(files, file);
    if (latest == files.end()) return;  // a file system that does not list it yet
    const auto keep = std::min<std::ptrdiff_t>(deck_.integer("checkpoint.keep"), files.end() - latest);
    for (auto other = files.begin(); other != files.end(); ++other) {
      std::error_code ignored;
      if (other < latest || other >= latest + keep) std::filesystem::remove(*other, ignored);
    }
  }
}

template <class T>
void Trainer<T>::checkpoint() {
  // A run that was killed between a checkpoint and this has one too many.
  if (last_checkpoint_ == progress_.step) return remove_old_checkpoints();
  const Timer timer;
  const auto file = checkpoint_path(directory_->path(), progress_.step);
  std::int64_t bytes = 0;
  {
    const Trace::Phase phase(trace_, "checkpoint", seconds_.checkpoint);
    bytes = save_snapshot<T>(file, deck_, grid_, io_, network_, optimizer_, average_ ? &*average_ : nullptr, reducer_, exec_, progress_);
  }
  last_checkpoint_ = progress_.step;
  pause_ += timer.seconds();
  time_limit_.checkpoint_took(timer.seconds());
  log::info("checkpoint {} ({}, {})", file.string(), human_bytes(static_cast<double>(bytes)), human_seconds(timer.seconds()));
  directory_->event({{"event", "checkpoint"}, {"step", progress_.step}, {"file", file.string()}, {"bytes", bytes}, {"seconds", timer.seconds()}});
  remove_old_checkpoints();
}

template <class T>
double Trainer<T>::checkpoint_guess() const {
  const auto arrays = static_cast<std::int64_t>(optimizer_.states().size()) + (deck_.real("train.ema") > 0 ? 2 : 1);
  return static_cast<double>(network_.summary().parameters * arrays * static_cast<std::int64_t>(sizeof(T))) / (100 << 20);
}

template <class T>
std::string Trainer<T>::stop_reason() {
  if (const int signal = stop_signal_.received(); signal != 0) return fmt::format("signal {}", signal);
  if (time_limit_.reached())
    return fmt::format("the time limit ({} left, {} wanted)", human_seconds(std::max(0.0, time_limit_.left(TimeLimit::now()))), human_seconds(time_limit_.needed()));
  return "a signal to another rank";
}

template <class T>
void Trainer<T>::finish(bool stopped) {
  // A run that ends within an epoch, or was complete before it began, still says how good the network is that it leaves.
  if (!stopped && evaluator_ && measured_step_ != progress_.step) last_metrics_ = measure();
  const double total = clock_.seconds();
  const std::string digest = parameters_sha256(network_, &grid_);
  nlohmann::json event{{"event", stopped ? "stop" : "end"},
                       {"step", progress_.step},
                       {"epoch", progress_.epoch},
                       {"parameters_sha256", digest},
                       {"seconds", total},
                       {"phases",
                        {{"data_wait", seconds_.data},
                         {"forward", seconds_.forward},
                         {"backward", seconds_.backward},
                         {"reduce_exposed", seconds_.reduce},
                         {"update", seconds_.update},
                         {"evaluate", seconds_.evaluate},
                         {"checkpoint", seconds_.checkpoint}}}};
  if (stopped) event["reason"] = stop_reason();
  if (!stopped && last_metrics_) event["test"] = last_metrics_->json(true);
  CommunicationReport communication;
  reducer_.report(communication);
  if (progress_.step > first_step_ && !communication.empty()) event["communication"] = communication.json();
  directory_->event(event);
  trace_.write(comm_, directory_->path() / "trace.json");
  if (progress_.step > first_step_)
    log::info("time {}: forward {}, backward {}, reduce (exposed) {}, update {}, data wait {}, evaluate {}, checkpoint {}", human_seconds(total),
              human_seconds(seconds_.forward), human_seconds(seconds_.backward), human_seconds(seconds_.reduce), human_seconds(seconds_.update),
              human_seconds(seconds_.data), human_seconds(seconds_.evaluate), human_seconds(seconds_.checkpoint));
  if (progress_.step > first_step_ && !communication.empty()) log::info("{}", communication.text());
  if (profile_ && profile_->steps() > 0) {
    const MachineRates rates = measure_rates<T>(exec_);
    log::info("{}", profile_->table(rates));
    directory_->event(profile_->json(rates));
  }
  log::info("parameters sha256 {}", digest);
  if (stopped)
    log::info("stopped by {} at step {} of {} with a whole checkpoint; start the same command again to continue", stop_reason(), progress_.step, total_steps_);
  else if (last_metrics_)
    log::info("done: test {}", last_metrics_->text());
  else
    log::info("done");
}

#define TRIREME_INSTANTIATE(T)                              \
  template void Trainer<T>::begin_profile();                \
  template void Trainer<T>::log_step();                     \
  template void Trainer<T>::end_epoch();                    \
  template Metrics Trainer<T>::measure();                   \
  template void Trainer<T>::remove_old_checkpoints();       \
  template void Trainer<T>::checkpoint();                   \
  template double Trainer<T>::checkpoint_guess() const;     \
  template std::string Trainer<T>::stop_reason();           \
  template void Trainer<T>::finish(bool);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
