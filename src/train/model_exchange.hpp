// Training runs that meet: every few steps tasks exchange their models. Each task is a run on a group of ranks; all groups have the same size, and the
// ranks of one place in their groups (`peers`) hold the same part of their tasks' models, and talk.
//
// A model is its parameters, its buffers (running moments) and, where the deck has train.ema, the average of the parameters. The optimiser's state
// (momentum, moments) and the learning rate stay with the task. Tasks meet behind step s > 0 where
//
//   average:     s <= start, or (s - start) divisible by every, or s is the last step
//   tournament:  s > start and (s - start) divisible by every
//
// average (local SGD: Stich 2019; post-local SGD with start > 0: Lin et al. 2020): with theta_k the model of task k of K,
//
//   theta_k <- sum_j w_j theta_j,   w_j = n_j / sum_i n_i
//
// n_j: samples that task j has seen since the last exchange, or task.weights. Sums run in double in the order of the tasks: all hold the same bits.
// With every = 1 and plain SGD this is one run whose batch is the tasks' batches together: sum_k w_k (theta - lr g_k) = theta - lr sum_k w_k g_k.
//
// tournament (Jacobs et al. 2017; LBANN's LTFB): in round r the tasks are shuffled by Philox(seed, r) and paired as they then stand; with an odd number
// the last sits out. Both models of a pair are evaluated on task.held_out, each by the task that has it, and the one with the larger loss is replaced by
// the other. (A loss that is no number is the largest; equal ones stay.)
//
// Stopping: before a step behind which they meet, all tasks agree that none has been told to stop, else all stop there. So every checkpoint of a job
// that was stopped lies between the same two exchanges, and the run that goes on from them is the one that was not interrupted, bit for bit.
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

/// When tasks meet; from [task] of the whole job's deck.
class ExchangePlan {
 public:
  explicit ExchangePlan(const Deck& deck);
  bool averages() const { return averages_; }
  bool meets(std::int64_t step, std::int64_t total_steps) const;
  /// Exchanges that lie behind a run at `step`, apart from the one at the last step.
  std::int64_t rounds(std::int64_t step) const;
  /// The last step <= `step` behind which tasks met, apart from the last step of the run; 0: none.
  std::int64_t last_before(std::int64_t step) const;

 private:
  bool averages_;
  std::int64_t every_, start_;
};

/// Who meets whom in a round of a tournament among `tasks`: partner[k], k itself where it sits out. A pure function.
std::vector<int> tournament_pairs(std::uint64_t seed, std::int64_t round, int tasks);

/// Whether `tasks` tasks can exchange models as the deck says; a usage error where not. Not collective.
void check_exchange(const Deck& deck, int tasks);

template <class T>
class ModelExchange : public StepHook<T> {
 public:
  /// `deck`: of the whole job. `peers`: one rank of each task, in the tasks' order; it is this rank's task that its own rank there numbers.
  /// Collective over `peers`; throws what check_exchange does.
  ModelExchange(const Deck& deck, const Communicator& peers);

  /// Checks that all tasks stand between the same exchanges, have as many steps before them and models of one size. Collective over all tasks.
  void begin(Trainer<T>& trainer) override;
  bool before_step(Trainer<T>& trainer) override;
  void after_step(Trainer<T>& trainer) override;
  /// Checkpoints by time are written behind a meeting, by all tasks: those of a killed job then belong together.
  bool may_save(Trainer<T>& trainer, bool due) override;
  void end(Trainer<T>& trainer, bool stopped) override;
  void release() noexcept override;

  /// Exchanges made by this process; of tournaments: how many were lost, that is replaced by the partner's model.
  std::int64_t exchanges() const { return exchanges_; }
  std::int64_t losses() const { return losses_; }
  /// Tournament, after a run that was not stopped: the loss on task.held_out.
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
  bool over_ = false;  // no more meetings: a task was told to stop
  std::vector<Buffer<T>> arrays_;
  std::vector<HostMirror<T>> hosts_;
  std::optional<WeightedMean<T>> mean_;
  std::unique_ptr<DataSet> data_;
  std::unique_ptr<Evaluator<T>> evaluator_;
  std::int64_t exchanges_ = 0, losses_ = 0;
  std::optional<double> held_out_loss_;
};

}  // namespace trireme
