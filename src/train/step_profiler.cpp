#include "train/step_profiler.hpp"

#include <vector>

namespace trireme {

template <class T>
StepProfiler<T>::StepProfiler(RunContext& run, Network<T>& network, const DataSet& data, std::int64_t samples, std::size_t states)
    : run_(run), trace_(run.deck.boolean("train.trace")) {
  if (run.deck.boolean("train.profile")) begin_profile(network, data, samples, states);
}

template <class T>
void StepProfiler<T>::begin_profile(Network<T>& network, const DataSet& data, std::int64_t samples, std::size_t states) {
  profile_.emplace();
  const auto size = static_cast<std::int64_t>(sizeof(T)), arrays = static_cast<std::int64_t>(states);
  const std::int64_t parameters = network.parameter_count() * size, input = samples * network.local_input().size(),
                     output = samples * network.local_output().size();
  const auto add = [&](StepPart part, const std::string& name, const std::string& kind, Work work) {
    parts_[static_cast<std::size_t>(part)] = profile_->add(name, kind, work);
  };
  add(StepPart::data, "data", "wait for the batch", {});
  add(StepPart::zero_gradients, "gradients", "set to zero", {0, parameters});
  add(StepPart::stage, "input", "cast and normalize", {0, input * (size + static_cast<std::int64_t>(size_of(data.feature_type())))});
  std::vector<std::size_t> forward(network.layer_count()), backward(network.layer_count());
  bool turned = false;
  const auto add_loss = [&] { add(StepPart::loss, "loss", run_.deck.text("loss.kind"), {0, 2 * output * size}); };
  for (const auto& one : network.work(samples)) {
    if (one.backward && !turned) add_loss(), turned = true;
    (one.backward ? backward : forward)[one.layer] = profile_->add(one.name + (one.backward ? " <-" : ""), one.kind, one.work);
  }
  if (!turned) add_loss();
  add(StepPart::reduce, "reduce", "exposed", {});
  add(StepPart::update, "update", run_.deck.text("optimizer.kind"), {0, parameters * (3 + 2 * arrays)});
  add(StepPart::account, "account", "loss to the host", {});
  network.observe([this, forward, backward](std::size_t layer, bool back) { profile_->mark(run_.exec, (back ? backward : forward)[layer]); });
}

template <class T>
void StepProfiler<T>::begin_step() {
  step_timer_.reset();
  run_.grid.meters().begin_step();
  if (profile_) profile_->begin_step(run_.exec);
}

template <class T>
void StepProfiler<T>::end_step() {
  if (profile_) profile_->end_step();
  run_.grid.meters().end_step();
  steps_seconds_ += step_timer_.seconds();
}

template <class T>
Trace::Phase StepProfiler<T>::phase(RunPhase phase) {
  static constexpr std::array<const char*, 7> names{"data wait", "forward", "backward", "reduce", "update", "evaluate", "checkpoint"};
  const auto number = static_cast<std::size_t>(phase);
  return Trace::Phase(trace_, names[number], seconds_[number]);
}

template class StepProfiler<float>;
template class StepProfiler<double>;

}  // namespace trireme
