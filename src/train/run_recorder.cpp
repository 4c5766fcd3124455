#include "train/run_recorder.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "kokkos_kernels/gemm.hpp"

namespace trireme {

template <class T>
RunRecorder<T>::RunRecorder(RunContext& run, TrainState<T>& state, const StepPlan& plan, StepProfiler<T>& profiler, const MemoryReport& memory, RunFiles& files)
    : run_(run), state_(state), plan_(plan), profiler_(profiler), memory_(memory), files_(files) {}

template <class T>
void RunRecorder<T>::log_setup(const DataLoader<T>& loader, const DataSet* test) {
  Network<T>& network = state_.network();
  const DataSet& data = loader.data();
  const auto summary = network.summary();
  log::info("Trireme {}  |  {} rank(s) x {} thread(s), {}, gemm: {}  |  {}", TRIREME_VERSION, run_.comm.size(), run_.exec.concurrency(), Execution::name(),
            gemm_provider(), run_.deck.text("train.precision"));
  if (run_.grid.shape().model_ranks() > 1) log::info("grid: {}", run_.grid.shape().text());
  log::info("deck {}  ->  {}", run_.deck.origin(), files_.path().string());
  log::info("network: {} parameters, {:.2f} M multiply-adds per sample\n{}", summary.parameters, static_cast<double>(summary.multiply_adds) * 1e-6,
            network.describe());
  log::info("{}", memory_.plan_text());
  const std::string test_text = test != nullptr ? fmt::format(", {} test samples", test->size()) : std::string();
  const std::string step_text = plan_.accumulate() > 1 ? fmt::format(" ({} per step)", plan_.accumulate()) : std::string();
  log::info("data: {} training samples in {} shard(s){}; batch {}{}, {} steps per epoch, {} steps in total", data.size(), data.shards().size(), test_text,
            plan_.batch(), step_text, plan_.epoch_steps(), plan_.total_steps());
  if (run_.deck.boolean("data.allow_unwritten") && run_.is_root())
    log::warn("data.allow_unwritten = true: rows that were never written, or whose source file is missing, enter training as fill values");
  const std::string moves = augmentation_text(run_.deck, data, network.input_shape(), network.output_shape());
  if (!moves.empty()) log::info("{}", moves);
}

template <class T>
void RunRecorder<T>::record_start(const std::vector<DeckChange>& changes) {
  first_step_ = state_.progress().step;
  if (!files_.is_open()) return;
  nlohmann::json changed = nlohmann::json::object();
  for (const DeckChange& change : changes) changed[change.key] = {change.before, change.after};
  files_.directory().event({{"event", "start"},
                            {"step", state_.progress().step},
                            {"epoch", state_.progress().epoch},
                            {"name", run_.deck.text("run.name")},
                            {"ranks", run_.comm.size()},
                            {"threads", run_.exec.concurrency()},
                            {"batch", plan_.batch()},
                            {"accumulate", plan_.accumulate()},
                            {"samples", plan_.epoch_samples()},
                            {"parameters", state_.network().summary().parameters},
                            {"total_steps", plan_.total_steps()},
                            {"changed", changed}});
}

template <class T>
void RunRecorder<T>::record_step(double loss) {
  const Progress& progress = state_.progress();
  const double now = clock_.seconds(), spent = (now - logged_.seconds) - (pause_ - logged_.pause);
  const double rate = static_cast<double>(samples_ - logged_.samples) / std::max(spent, 1e-9);
  const double left = static_cast<double>(plan_.total_steps() - progress.step) * static_cast<double>(plan_.accumulate() * plan_.batch()) / std::max(rate, 1e-9);
  const std::int64_t epoch = plan_.epochs_in(progress.step - 1) + 1;
  const double lr = plan_.learning_rate(progress, progress.step - 1);
  log::info("epoch {}/{}  step {}/{}  loss {:.4f}  lr {:.4g}  {:.0f} samples/s  {} left", epoch, run_.deck.integer("train.epochs"), progress.step,
            plan_.total_steps(), loss, lr, rate, human_seconds(left));
  files_.directory().event(
      {{"event", "step"}, {"step", progress.step}, {"epoch", epoch}, {"loss", loss}, {"lr", lr}, {"samples_per_s", rate}, {"seconds", now}});
  logged_ = {now, pause_, samples_};
}

template <class T>
void RunRecorder<T>::record_shares(const Balancer& balancer) {
  const std::int64_t step = state_.progress().step;
  std::vector<double> milliseconds;
  for (const double seconds : balancer.seconds_per_sample()) milliseconds.push_back(1e3 * seconds);
  static constexpr std::ptrdiff_t most_listed = 16;  // with more ranks only the first ones
  const auto listed = [](const auto& values) {
    return fmt::format("{:.3g}{}", fmt::join(values.begin(), values.begin() + std::min(most_listed, std::ssize(values)), ", "),
                       std::ssize(values) > most_listed ? ", ..." : "");
  };
  const std::vector<double> shares(balancer.shares().begin(), balancer.shares().end());
  log::info("balance: new shares from step {} on, after the batches already read ahead: {} samples; measured {} ms per sample", step + 1, listed(shares),
            listed(milliseconds));
  files_.directory().event({{"event", "balance"}, {"step", step}, {"shares", balancer.shares()}, {"ms_per_sample", milliseconds}});
}

template <class T>
void RunRecorder<T>::record_epoch(std::int64_t epoch, double seconds, std::optional<double> loss, const std::optional<Metrics>& test,
                                  const std::optional<Metrics>& validation) {
  nlohmann::json event{{"event", "epoch"}, {"epoch", epoch}, {"step", state_.progress().step}, {"train", {{"loss", nullptr}}}, {"seconds", seconds}};
  std::string text = fmt::format("epoch {} done: train loss n/a", epoch);
  if (loss) {
    event["train"]["loss"] = *loss;
    text = fmt::format("epoch {} done: train loss {:.4f}", epoch, *loss);
  }
  if (validation) {
    event["validation"] = validation->json();
    text += "  |  validation " + validation->text();
  }
  if (test) {
    event["test"] = test->json();
    text += "  |  test " + test->text();
  }
  log::info("{}", text);
  files_.directory().event(event);
}

template <class T>
void RunRecorder<T>::record_target(const std::string& text, nlohmann::json event) {
  const std::int64_t step = state_.progress().step, samples = plan_.samples_in(step);
  const bool recorded = !files_.directory().find_event(run_.comm, "target", step).is_null();
  const double seconds = files_.directory().earlier_seconds() + clock_.seconds();
  if (recorded) return;  // before a restart
  log::info("time to quality: {:.1f} s, {} steps, {} samples until {}", seconds, step, samples, text);
  event["event"] = "target", event["step"] = step, event["epoch"] = plan_.epochs_in(step), event["seconds"] = seconds, event["samples"] = samples;
  files_.directory().event(event);
}

#define TRIREME_INSTANTIATE(T)                                                                                                                           \
  template RunRecorder<T>::RunRecorder(RunContext&, TrainState<T>&, const StepPlan&, StepProfiler<T>&, const MemoryReport&, RunFiles&);                  \
  template void RunRecorder<T>::log_setup(const DataLoader<T>&, const DataSet*);                                                                         \
  template void RunRecorder<T>::record_start(const std::vector<DeckChange>&);                                                                            \
  template void RunRecorder<T>::record_step(double);                                                                                                     \
  template void RunRecorder<T>::record_shares(const Balancer&);                                                                                          \
  template void RunRecorder<T>::record_epoch(std::int64_t, double, std::optional<double>, const std::optional<Metrics>&, const std::optional<Metrics>&); \
  template void RunRecorder<T>::record_target(const std::string&, nlohmann::json);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
