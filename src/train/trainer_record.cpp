// What a run tells and leaves: reports, evaluations, checkpoints, the profile.
#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "train/standardization.hpp"
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
  const std::int64_t epoch = (progress_.step - 1 - step_offset_) / epoch_steps_ + 1;
  const double lr = progress_.lr_scale * schedule_.at(progress_.step - 1);
  log::info("epoch {}/{}  step {}/{}  loss {:.4f}  lr {:.4g}  {:.0f} samples/s  {} left", epoch, deck_.integer("train.epochs"), progress_.step, total_steps_,
            last_loss_, lr, rate, human_seconds(left));
  directory_->event({{"event", "step"}, {"step", progress_.step}, {"epoch", epoch}, {"loss", last_loss_}, {"lr", lr}, {"samples_per_s", rate}, {"seconds", now}});
  logged_at_ = now;
  logged_pause_ = pause_;
  logged_samples_ = samples_done_;
  logged_step_ = progress_.step;
}

template <class T>
void Trainer<T>::log_shares() {
  std::vector<double> milliseconds;
  for (const double seconds : balancer_->seconds_per_sample()) milliseconds.push_back(1e3 * seconds);
  // Of many ranks the first ones.
  const auto listed = [](const auto& values) { return fmt::format("{:.3g}{}", fmt::join(values.begin(), values.begin() + std::min<std::ptrdiff_t>(16, std::ssize(values)), ", "), values.size() > 16 ? ", ..." : ""); };
  const std::vector<double> shares(balancer_->shares().begin(), balancer_->shares().end());
  log::info("balance: from step {} on, or as soon as what is read ahead allows, shares of {} samples; each takes {} ms a sample", progress_.step + 1, listed(shares),
            listed(milliseconds));
  directory_->event({{"event", "balance"}, {"step", progress_.step}, {"shares", balancer_->shares()}, {"ms_per_sample", milliseconds}});
}

template <class T>
bool Trainer<T>::wants_stop() {
  return stop_signal_.received() != 0 || (comm_.rank() == 0 && time_limit_.near(TimeLimit::now()));
}

template <class T>
bool Trainer<T>::evaluates(std::int64_t epoch) const {
  return evaluator_ && (epoch % deck_.integer("train.evaluate_every") == 0 || progress_.step == total_steps_);
}

template <class T>
void Trainer<T>::take_up_epoch() {
  if (!epoch_open()) return;
  if (!directory_->has_epoch(comm_, progress_.step)) return end_epoch();
  progress_.epoch_loss = 0;
  progress_.epoch_samples = 0;
}

template <class T>
void Trainer<T>::end_epoch() {
  const std::int64_t epoch = (progress_.step - step_offset_) / epoch_steps_;
  nlohmann::json event{{"event", "epoch"},
                       {"epoch", epoch},
                       {"step", progress_.step},
                       {"train", {{"loss", nullptr}}},
                       {"seconds", clock_.seconds()}};
  // Of an epoch whose steps all had a loss that is not finite there is none.
  std::string text = fmt::format("epoch {} done: train loss n/a", epoch);
  if (progress_.epoch_samples > 0) {
    const double loss = loss_.mean(progress_.epoch_loss, progress_.epoch_samples);
    event["train"]["loss"] = loss;
    text = fmt::format("epoch {} done: train loss {:.4f}", epoch, loss);
  }
  if (evaluates(epoch)) {
    // The run's first one: what the test data holds is not known before.
    if (epoch == deck_.integer("train.evaluate_every")) checkpoint();
    if (stop_) return;
    const Timer timer;
    {
      const Trace::Phase phase(trace_, "evaluate", seconds_.evaluate);
      last_metrics_ = measure();
      if (!last_metrics_) {
        stop_ = true;
        return;
      }
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
std::optional<Metrics> Trainer<T>::measure() {
  const auto exchange = [&] {
    if (average_) average_->exchange(exec_);
  };
  exchange();
  try {
    // The evaluation that a process begins with is not given up for the time limit: else a run could be started for ever without getting on.
    const auto metrics = evaluator_->run_unless(exec_, [this] { return progress_.step > first_step_ ? wants_stop() : stop_signal_.received() != 0; });
    exchange();
    if (metrics && comm_.rank() == 0)
      if (const std::string fault = evaluator_->fault_of(*metrics); !fault.empty()) log::warn("the test loss is {}: {}", metrics->loss, fault);
    return metrics;
  } catch (const Error&) {
    exchange();
    // All ranks meet it, where each has a whole model: what was trained is not lost.
    if (keeper_ && grid_.shape().model_ranks() == 1) {
      try {
        checkpoint();
        keeper_->finish(true);
      } catch (const Error& second) {
        if (comm_.rank() == 0) log::warn("{}", second.what());
      }
    }
    throw;
  }
}

template <class T>
void Trainer<T>::checkpoint() {
  since_checkpoint_.reset();
  if (last_checkpoint_ == progress_.step) {
    // A run that was killed between a checkpoint and this has one too many.
    if (comm_.rank() == 0) keeper_->remove_old(progress_.step);
    return;
  }
  const Timer timer;
  {
    const Trace::Phase phase(trace_, "checkpoint", seconds_.checkpoint);
    auto snapshot =
        with_moments(take_snapshot<T>(deck_, grid_, network_, optimizer_, average_ ? &*average_ : nullptr, reducer_, exec_, progress_), train_data_.names());
    snapshot.content.integers.insert(fingerprint_.begin(), fingerprint_.end());
    keeper_->write(progress_.step, snapshot.arrays, snapshot.content, timer);
  }
  last_checkpoint_ = progress_.step;
  pause_ += timer.seconds();
  time_limit_.checkpoint_took(std::max(timer.seconds(), keeper_->last_seconds()));  // to its name, not only the copy
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
nlohmann::json Trainer<T>::memory_report(std::string& text) const {
  const auto summary = network_.summary();
  const ResidentMemory resident = resident_memory();
  std::array<std::int64_t, 10> most{allocations_.of(MemoryUse::activations).peak, summary.temporary_bytes, allocations_.of(MemoryUse::workspace).peak,
                                   summary.workspace_bytes, allocations_.of(MemoryUse::messages).peak,
                                   summary.message_bytes + loss_message_elements(deck_, network_) * network_.largest_batch() * static_cast<std::int64_t>(sizeof(T)),
                                   allocations_.all().peak, planned_.total(), resident_before_, resident.peak};
  comm_.all_reduce(std::span<std::int64_t>(most), MPI_MAX);
  nlohmann::json report{{"allocated", most[6]}, {"planned", most[7]}, {"resident_before", most[8]}, {"resident_peak", most[9]}};
  text = "memory allocated at most on a rank:";
  const char* const names[] = {"activations", "workspace", "messages"};
  for (std::size_t i = 0; i < 3; ++i) {
    report[names[i]] = {{"allocated", most[2 * i]}, {"planned", most[2 * i + 1]}};
    text += fmt::format(" {} {} (planned {}),", names[i], human_bytes(static_cast<double>(most[2 * i])), human_bytes(static_cast<double>(most[2 * i + 1])));
  }
  text += fmt::format(" all {}; resident {} (planned {}, and {} before the run)", human_bytes(static_cast<double>(most[6])), human_bytes(static_cast<double>(most[9])),
                      human_bytes(static_cast<double>(most[7])), human_bytes(static_cast<double>(most[8])));
  return report;
}

template <class T>
void Trainer<T>::finish(bool stopped) {
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
  if (!stopped && last_metrics_) event["test"] = last_metrics_->json();
  const auto& kept = keeper_->totals();
  event["checkpoints"] = {{"written", kept.written}, {"failed", kept.failed}, {"stall", kept.stall}, {"writing", kept.writing}, {"waiting", kept.waiting}};
  if (skipped_ > 0) event["skipped"] = skipped_;
  if (rollbacks_ > 0) event["rollbacks"] = rollbacks_;
  CommunicationReport communication;
  reducer_.report(communication);
  if (const std::size_t steps = grid_.meters().data.steps(); steps > 0) {
    const double step_s = seconds_.step / static_cast<double>(steps);
    communication.add_axes(grid_, step_s, network_.parallel_plan().bubble());
    event["phases"]["step"] = seconds_.step;
    if (!communication.empty()) event["communication"] = communication.json();
    if (const auto& bubble = communication.bubble())
      event["bubble"] = {{"measured", bubble->measured}, {"theory", bubble->theory}, {"by_stage", bubble->by_stage}};
  }
  std::string memory;
  event["memory"] = memory_report(memory);
  directory_->event(event);
  trace_.write(comm_, directory_->path() / "trace.json", ownership_->token());
  if (progress_.step > first_step_)
    log::info("time {}: forward {}, backward {}, reduce (exposed) {}, update {}, data wait {}, evaluate {}, checkpoint {}", human_seconds(total),
              human_seconds(seconds_.forward), human_seconds(seconds_.backward), human_seconds(seconds_.reduce), human_seconds(seconds_.update),
              human_seconds(seconds_.data), human_seconds(seconds_.evaluate), human_seconds(seconds_.checkpoint));
  if (progress_.step > first_step_ && !communication.empty()) log::info("{}", communication.text());
  if (balancer_) {
    if (const auto gain = balancer_->gain())
      log::info("balance: {} change(s) of shares; a step took {} with even shares and {} with the last ones: {:.2f} x", balancer_->changes(),
                human_seconds(gain->even), human_seconds(gain->now), gain->even / gain->now);
    else
      log::info("balance: {}", balancer_->changes() == 0 ? "shares stayed even; nothing was to be gained" : "too few steps since shares changed to say what was gained");
  }
  if (progress_.step > first_step_) log::info("{}", memory);
  if (profile_ && profile_->steps() > 0) {
    const MachineRates rates = measure_rates<T>(exec_);
    log::info("{}", profile_->table(rates));
    nlohmann::json parts = profile_->json(rates);
    if (event.contains("communication")) parts["communication"] = event["communication"];
    directory_->event(parts);
  }
  if (kept.failed > 0) log::warn("{} checkpoint(s) could not be written, {} were", kept.failed, kept.written);
  if (skipped_ > 0) log::warn("{} step(s) were skipped: their loss or a gradient was not finite", skipped_);
  log::info("parameters sha256 {}", digest);
  if (stopped)
    log::info("stopped by {} at step {} of {} with a whole checkpoint; start the same command again to continue{}", stop_reason(), progress_.step, total_steps_,
              epoch_open() || progress_.step == total_steps_ ? ", with the evaluation that was given up" : "");
  else if (last_metrics_)
    log::info("done: test {}", last_metrics_->text());
  else
    log::info("done");
}

#define TRIREME_INSTANTIATE(T)                              \
  template void Trainer<T>::begin_profile();                \
  template void Trainer<T>::log_step();                     \
  template void Trainer<T>::log_shares();                   \
  template void Trainer<T>::end_epoch();                    \
  template std::optional<Metrics> Trainer<T>::measure();    \
  template bool Trainer<T>::wants_stop();                   \
  template bool Trainer<T>::evaluates(std::int64_t) const;  \
  template void Trainer<T>::take_up_epoch();                \
  template void Trainer<T>::checkpoint();                   \
  template double Trainer<T>::checkpoint_guess() const;     \
  template std::string Trainer<T>::stop_reason();           \
  template nlohmann::json Trainer<T>::memory_report(std::string&) const; \
  template void Trainer<T>::finish(bool);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
