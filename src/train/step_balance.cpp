#include "train/step_balance.hpp"

#include "base/timer.hpp"

namespace trireme {

StepBalance::StepBalance(const RunContext& run) : slow_down_(SlowDown::from_environment(run.comm.rank())) {
  const GridShape& grid = run.grid.shape();
  if (run.deck.text("parallel.balance") == "measured" && grid.data > 1)
    balancer_.emplace(run.comm, run.grid.place().data, grid.data, run.deck.integer("data.batch"), most_of_batch(run.deck, grid));
}

void StepBalance::add_work(double seconds, std::int64_t samples) {
  const Timer timer;
  slow_down_.after(seconds);
  own_seconds_ += seconds + timer.seconds();
  own_samples_ += samples;
}

std::optional<std::vector<std::int64_t>> StepBalance::end_step(double seconds) {
  if (!balancer_) return std::nullopt;
  balancer_->add(own_seconds_, seconds, own_samples_);
  return balancer_->decide();
}

}  // namespace trireme
