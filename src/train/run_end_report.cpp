// The final report of a run: RunRecorder::end() and its parts.
#include "base/log.hpp"
#include "base/text.hpp"
#include "train/run_recorder.hpp"

namespace trireme {

template <class T>
void RunRecorder<T>::end(const RunEnd& end, const Balancer* balancer) {
  const double total = clock_.seconds();
  const std::string digest = parameters_sha256(state_.network(), &run_.grid);
  nlohmann::json event = end_event(end, digest);
  event["seconds"] = total;
  const CommunicationReport report = communication();
  if (!report.empty() && run_.grid.meters().data.steps() > 0) event["communication"] = report.json();
  if (const auto& bubble = report.bubble()) event["bubble"] = {{"measured", bubble->measured}, {"theory", bubble->theory}, {"by_stage", bubble->by_stage}};
  const MemoryReport::Comparison memory = memory_.compare(run_.deck, run_.comm, state_.network());
  event["memory"] = memory.json;
  files_.directory().event(event);
  profiler_.write_trace(files_.path() / "trace.json", files_.token());
  if (made_progress()) log_times(total);
  if (made_progress() && !report.empty()) log::info("{}", report.text());
  if (balancer != nullptr) log_balance(*balancer);
  if (made_progress()) log::info("{}", memory.text);
  record_profile(report);
  if (const auto& kept = files_.checkpoints().totals(); kept.failed > 0)
    log::warn("{} checkpoint(s) could not be written; {} were written", kept.failed, kept.written);
  if (end.skipped > 0) log::warn("{} step(s) were skipped: their loss or a gradient was not finite", end.skipped);
  log::info("parameters sha256 {}", digest);
  log_end(end);
}

template <class T>
nlohmann::json RunRecorder<T>::phases() const {
  nlohmann::json seconds{{"data_wait", profiler_.seconds(RunPhase::data_wait)},  {"forward", profiler_.seconds(RunPhase::forward)},
                         {"backward", profiler_.seconds(RunPhase::backward)},    {"reduce_exposed", profiler_.seconds(RunPhase::reduce)},
                         {"update", profiler_.seconds(RunPhase::update)},        {"evaluate", profiler_.seconds(RunPhase::evaluate)},
                         {"checkpoint", profiler_.seconds(RunPhase::checkpoint)}};
  if (run_.grid.meters().data.steps() > 0) seconds["step"] = profiler_.all_steps_seconds();
  return seconds;
}

template <class T>
CommunicationReport RunRecorder<T>::communication() {
  CommunicationReport report;
  state_.reducer().report(report);
  if (const std::size_t steps = run_.grid.meters().data.steps(); steps > 0)
    report.add_axes(run_.grid, profiler_.all_steps_seconds() / static_cast<double>(steps), state_.network().parallel_plan().bubble());
  return report;
}

template <class T>
nlohmann::json RunRecorder<T>::end_event(const RunEnd& end, const std::string& digest) const {
  const Progress& progress = state_.progress();
  nlohmann::json event{
      {"event", end.stopped ? "stop" : "end"}, {"step", progress.step}, {"epoch", progress.epoch}, {"parameters_sha256", digest}, {"phases", phases()}};
  if (end.stopped) event["reason"] = end.reason;
  if (!end.stopped && end.test) event["test"] = end.test->json();
  if (!end.stopped && end.validation) event["validation"] = end.validation->json();
  if (!end.stopped && !end.reason.empty()) event["reason"] = end.reason;
  if (!end.best.is_null()) event["best"] = end.best;
  const auto& kept = files_.checkpoints().totals();
  event["checkpoints"] = {{"written", kept.written}, {"failed", kept.failed}, {"stall", kept.stall}, {"writing", kept.writing}, {"waiting", kept.waiting}};
  if (end.skipped > 0) event["skipped"] = end.skipped;
  if (end.rollbacks > 0) event["rollbacks"] = end.rollbacks;
  return event;
}

template <class T>
void RunRecorder<T>::log_times(double total) const {
  const auto text = [&](RunPhase phase) { return human_seconds(profiler_.seconds(phase)); };
  log::info("time {}: forward {}, backward {}, reduce (exposed) {}, update {}, data wait {}, evaluate {}, checkpoint {}", human_seconds(total),
            text(RunPhase::forward), text(RunPhase::backward), text(RunPhase::reduce), text(RunPhase::update), text(RunPhase::data_wait),
            text(RunPhase::evaluate), text(RunPhase::checkpoint));
}

template <class T>
void RunRecorder<T>::log_balance(const Balancer& balancer) const {
  if (const auto gain = balancer.gain())
    log::info("balance: shares changed {} time(s); a step took {} with even shares and {} with the last ones: {:.2f} x", balancer.changes(),
              human_seconds(gain->even), human_seconds(gain->now), gain->even / gain->now);
  else
    log::info("balance: {}", balancer.changes() == 0 ? "shares stayed even: other shares would not be faster"
                                                     : "too few steps since the last change of shares to measure the gain");
}

template <class T>
void RunRecorder<T>::record_profile(const CommunicationReport& communication) {
  const Profile* const profile = profiler_.profile();
  if (profile == nullptr || profile->steps() <= 0) return;
  const MachineRates rates = measure_rates<T>(run_.exec);
  log::info("{}", profile->table(rates));
  nlohmann::json parts = profile->json(rates);
  if (!communication.empty()) parts["communication"] = communication.json();
  files_.directory().event(parts);
}

template <class T>
void RunRecorder<T>::log_end(const RunEnd& end) const {
  if (end.stopped)
    log::info("stopped by {} at step {} of {}; the checkpoint is complete; start the same command again to continue{}", end.reason, state_.progress().step,
              plan_.total_steps(), end.evaluation_left ? ", beginning with the interrupted evaluation" : "");
  else if (!end.reason.empty())
    log::info("{} (step {} of {})", end.reason, state_.progress().step, plan_.total_steps());
  if (!end.best_text.empty()) log::info("{}", end.best_text);
  if (end.stopped) return;
  if (end.test)
    log::info("{}: test {}", end.sound ? "done" : "ended", end.test->text());
  else if (end.validation)
    log::info("done: validation {}", end.validation->text());
  else
    log::info("done");
}

template void RunRecorder<float>::end(const RunEnd&, const Balancer*);
template void RunRecorder<double>::end(const RunEnd&, const Balancer*);

}  // namespace trireme
