// Exchanges models between tasks every few steps. Each task is a run on a group of ranks. All groups have the same size. The ranks with the same
// number in their groups (`peers`) hold the same part of their models and communicate with each other.
//
// A model is its parameters, its buffers (running moments) and, with train.ema, the average of the parameters. The optimizer state (momentum,
// moments) and the learning rate stay with the task. Tasks exchange after step s > 0 if
//
//   average:     s <= start, or (s - start) divisible by every, or s is the last step
//   tournament:  s > start and (s - start) divisible by every
//
// average (local SGD: Stich 2019; post-local SGD with start > 0: Lin et al. 2020): with theta_k the model of task k of K,
//
//   theta_k <- sum_j w_j theta_j,   w_j = n_j / sum_i n_i
//
// n_j: samples that task j has seen since the last exchange, or task.weights. Sums are computed in double precision in the order of the tasks, so all
// tasks hold the same bits. With every = 1 and plain SGD this equals one run with the batches of all tasks together: sum_k w_k (theta - lr g_k) =
// theta - lr sum_k w_k g_k.
//
// tournament (Jacobs et al. 2017; LBANN's LTFB): in round r the tasks are shuffled by Philox(seed, r) and neighbors are paired; with an odd number
// of tasks the last one has no opponent. Each task of a pair evaluates its own model on task.held_out. The model with the smaller loss replaces the
// other one. (NaN counts as the largest loss. With equal losses both models stay.)
//
// Stopping: before a step that ends with an exchange, all tasks agree whether any of them was told to stop. If so, all stop there. All checkpoints of
// a stopped job are therefore between the same two exchanges, and a restarted job produces the same bits as an uninterrupted one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "comm/weighted_mean.hpp"
#include "config/deck.hpp"
#include "train/step_hook.hpp"
#include "train/trainer.hpp"

namespace trireme {

/// The steps at which tasks exchange; from [task] of the deck of the whole job.
class ExchangePlan {
 public:
  explicit ExchangePlan(const Deck& deck);
  bool averages() const { return averages_; }
  bool meets(std::int64_t step, std::int64_t total_steps) const;
  /// Number of exchanges up to `step`, without the exchange at the last step.
  std::int64_t rounds(std::int64_t step) const;
  /// The last step <= `step` with an exchange, not counting the last step of the run; 0: none.
  std::int64_t last_before(std::int64_t step) const;

 private:
  bool averages_;
  std::int64_t every_, start_;
};

/// The pairs of one tournament round among `tasks` tasks: partner[k], or k itself without an opponent. A pure function.
std::vector<int> tournament_pairs(std::uint64_t seed, std::int64_t round, int tasks);

/// Checks whether `tasks` tasks can exchange models as the deck demands; throws a usage error if not. Not collective.
void check_exchange(const Deck& deck, int tasks);

template <class T>
class ModelExchange : public StepHook<T> {
 public:
  /// `deck`: deck of the whole job. `peers`: one rank of each task, in the order of the tasks, so the rank's number in `peers` is the number of its
  /// task. Collective over `peers`. Throws the errors of check_exchange.
  ModelExchange(const Deck& deck, const Communicator& peers);

  /// Checks that all tasks are between the same two exchanges, and have the same number of steps and the same model size. Collective over all tasks.
  void begin(Trainer<T>& trainer) override;
  bool before_step(Trainer<T>& trainer) override;
  void after_step(Trainer<T>& trainer) override;
  /// Time-based checkpoints are written after an exchange, by all tasks, so that the checkpoints of a killed job are consistent.
  bool may_save(Trainer<T>& trainer, bool due) override;
  void end(Trainer<T>& trainer, bool stopped) override;
  void release() noexcept override;

  /// Number of exchanges of this process; for tournaments also the number of losses, where the partner's model replaced this one.
  std::int64_t exchanges() const { return exchanges_; }
  std::int64_t losses() const { return losses_; }
  /// Tournament: the loss on task.held_out after a run that was not stopped.
  std::optional<double> held_out_loss() const { return held_out_loss_; }

 private:
  bool all_go_on(bool stop);
  void average(Trainer<T>& trainer);
  void compete(Trainer<T>& trainer);
  double score(Trainer<T>& trainer);
  std::vector<double> of_all(double mine) const;

  ExchangePlan plan_;
  Communicator peers_;
  std::uint64_t seed_;
  std::vector<double> weights_;
  std::string held_out_;
  bool over_ = false;  // no more exchanges: a task was told to stop
  std::vector<Buffer<T>> arrays_;
  std::vector<HostMirror<T>> hosts_;
  std::optional<WeightedMean<T>> mean_;
  std::unique_ptr<DataSet> data_;
  std::unique_ptr<Evaluator<T>> evaluator_;
  std::int64_t exchanges_ = 0, losses_ = 0;
  std::optional<double> held_out_loss_;
};

}  // namespace trireme
