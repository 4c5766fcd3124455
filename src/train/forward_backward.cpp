#include "train/forward_backward.hpp"

#include "train/local_batch.hpp"

namespace trireme {

namespace {

/// Whether every step launches the same kernels, so that a CUDA graph can replay them.
template <class T>
bool is_replayable(const RunContext& run, const Network<T>& network, std::int64_t virtual_ranks) {
  return !on_host && virtual_ranks == 0 && run.deck.boolean("train.graph") && !run.deck.boolean("train.profile") && run.comm.size() == 1 &&
         network.parallel_plan().micro_batches() == 1 && !network.is_stochastic();
}

}  // namespace

template <class T>
ForwardBackward<T>::ForwardBackward(RunContext& run, Network<T>& network, DataLoader<T>& loader, GradientReducer<T>& reducer, StepProfiler<T>& profiler)
    : run_(run),
      network_(network),
      loader_(loader),
      reducer_(reducer),
      profiler_(profiler),
      loss_(run.deck, network, run.grid),
      control_(run.grid, network),
      reduction_group_sums_(run.grid),
      schedule_(run.grid.shape().pipeline, run.grid.place().pipeline, network.parallel_plan().micro_batches()),
      virtual_ranks_(loader.options().virtual_ranks),
      passes_(static_cast<std::size_t>(schedule_.micro_batches())),
      replays_(is_replayable(run, network, virtual_ranks_)) {}

template <class T>
void ForwardBackward<T>::run(const HostBatch& batch, const BatchInStep& place) {
  if (virtual_ranks_ == 0) return run_share(batch, place, place.last);
  const Share own = share_of(virtual_ranks_, run_.grid.place().data, run_.grid.shape().data);
  for (std::int64_t v = own.first; v < own.first + own.count; ++v) {
    const Share share = share_of(batch.global_count, static_cast<int>(v), static_cast<int>(virtual_ranks_));
    const bool last = v + 1 == own.first + own.count;
    if (v > own.first) wait_for_staging();
    run_share(part_of(batch, share.first - batch.first, share.count), place, place.last && last);
    if (!last) reducer_.end_lane(run_.exec);
  }
}

template <class T>
void ForwardBackward<T>::run_share(const HostBatch& share, const BatchInStep& place, bool last) {
  const std::int64_t micro_batches = schedule_.micro_batches();
  const auto part = [&](std::int64_t m) { return share_of(share.count, static_cast<int>(m), static_cast<int>(micro_batches)); };
  for (std::int64_t m = 0; m < micro_batches; ++m) passes_[static_cast<std::size_t>(m)] = pass_of(share, part(m), place);
  if (micro_batches == 1) {
    forward(passes_[0], share, place);
    if (!replays_) backward(passes_[0], last);
    return;
  }
  const auto select = [&](std::int64_t m) { network_.select(static_cast<int>(m % network_.slots())); };
  schedule_.run(
      [&](std::int64_t m) {
        wait_for_staging();
        select(m);
        forward(passes_[static_cast<std::size_t>(m)], part_of(share, part(m).first, part(m).count), place);
      },
      [&](std::int64_t m) {
        select(m);
        backward(passes_[static_cast<std::size_t>(m)], last && m + 1 == micro_batches);
      });
}

template <class T>
Pass ForwardBackward<T>::pass_of(const HostBatch& share, const Share& part, const BatchInStep& place) {
  return {.exec = run_.exec,
          .samples = part.count,
          .training = true,
          .seed = loader_.options().seed,
          .step = place.step,
          .first_sample = place.samples_before + share.first + part.first,
          .copies = run_.grid.shape().spatial_ranks(),
          .fixed_order = virtual_ranks_ > 0,
          .all_reduce = reduction_group_sums_.function()};
}

template <class T>
void ForwardBackward<T>::forward(const Pass& pass, const HostBatch& batch, const BatchInStep& place) {
  const Trace::Phase phase = profiler_.phase(RunPhase::forward);
  const Targets<T> targets = loader_.load(pass, batch, network_.input());
  profiler_.mark(StepPart::stage);
  // Ranks with the same outputs count the loss of a sample once together.
  const std::int64_t copies = network_.output_box() ? 1 : pass.copies;
  const double share = network_.place().last_stage() ? 1 / static_cast<double>(copies) : 0;
  if (replays_) {
    replay(pass, place.step_samples, targets);
    return control_.add(run_.exec, loss_.value(), share, place.flags);
  }
  network_.forward(pass);
  if (network_.place().last_stage()) loss_.apply(run_.exec, pass.samples, place.step_samples * copies, network_.output(), targets, network_.output_gradient());
  control_.add(run_.exec, loss_.value(), share, place.flags);
  profiler_.mark(StepPart::loss);
}

template <class T>
void ForwardBackward<T>::backward(const Pass& pass, bool last) {
  const Trace::Phase phase = profiler_.phase(RunPhase::backward);
  network_.backward(pass, [&](std::int64_t offset) {
    if (last) reducer_.ready(run_.exec, offset);
  });
}

template <class T>
void ForwardBackward<T>::replay(const Pass& pass, std::int64_t step_samples, const Targets<T>& targets) {
  const auto place = [](const void* memory) { return static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(memory)); };
  recording_.run(run_.exec, {pass.samples, step_samples, place(targets.classes.data()), place(targets.values.data())}, [&] {
    network_.forward(pass);
    loss_.apply(run_.exec, pass.samples, step_samples, network_.output(), targets, network_.output_gradient());
    network_.backward(pass, [](std::int64_t) {});
  });
}

template <class T>
void ForwardBackward<T>::wait_for_staging() {
  if (!on_host) run_.exec.fence("trireme::trainer: staging memory is not read any more");
}

template class ForwardBackward<float>;
template class ForwardBackward<double>;

}  // namespace trireme
