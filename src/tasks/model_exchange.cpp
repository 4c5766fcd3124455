#include "tasks/model_exchange.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/random.hpp"

namespace trireme {

ExchangePlan::ExchangePlan(const Deck& deck)
    : averages_(deck.text("task.mode") == "average"), every_(deck.integer("task.every")), start_(deck.integer("task.start")) {}

bool ExchangePlan::meets(std::int64_t step, std::int64_t total_steps) const {
  if (step <= start_) return averages_ && step > 0;
  return (step - start_) % every_ == 0 || (averages_ && step == total_steps);
}

std::int64_t ExchangePlan::rounds(std::int64_t step) const {
  return (averages_ ? std::min(step, start_) : 0) + std::max<std::int64_t>(step - start_, 0) / every_;
}

std::int64_t ExchangePlan::last_before(std::int64_t step) const {
  if (step <= start_) return averages_ ? step : 0;
  const std::int64_t last = start_ + (step - start_) / every_ * every_;
  return averages_ || last > start_ ? last : 0;
}

std::vector<int> tournament_pairs(std::uint64_t seed, std::int64_t round, int tasks) {
  std::vector<int> order(static_cast<std::size_t>(tasks)), partner(order.size());
  std::iota(order.begin(), order.end(), 0);
  partner = order;
  RandomStream random(mix(seed, 0x746f75726e6579ull), static_cast<std::uint64_t>(round));  // "tourney"
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  for (std::size_t i = 0; i + 1 < order.size(); i += 2) {
    partner[static_cast<std::size_t>(order[i])] = order[i + 1];
    partner[static_cast<std::size_t>(order[i + 1])] = order[i];
  }
  return partner;
}

void check_exchange(const Deck& deck, int tasks) {
  const auto weights = deck.reals("task.weights");
  if (!weights.empty() && static_cast<int>(weights.size()) != tasks)
    throw usage_error("task.weights holds {} number(s), but there are {} tasks. Hint: give one weight per task, or none", weights.size(), tasks);
  if (!weights.empty() && std::ranges::all_of(weights, [](double weight) { return weight == 0; }))
    throw usage_error("task.weights = {} are all 0. Hint: at least one weight must be positive", deck.text("task.weights"));
  if (deck.text("task.mode") == "tournament" && deck.text("task.held_out").empty())
    throw usage_error(
        "task.mode = tournament needs task.held_out, the data on which models are compared. Hint: set aside some samples of data.train for "
        "it; selecting models on data.test would bias the test metrics");
}

template <class T>
ModelExchange<T>::ModelExchange(const Deck& deck, const Communicator& peers)
    : plan_(deck),
      peers_(peers.duplicate()),
      seed_(static_cast<std::uint64_t>(deck.integer("run.seed"))),
      weights_(deck.reals("task.weights")),
      held_out_(deck.text("task.held_out")) {
  check_exchange(deck, peers.size());
  const double sum = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  for (double& weight : weights_) weight /= sum;
}

template <class T>
std::vector<double> ModelExchange<T>::of_all(double mine) const {
  return peers_.all_gather(std::span<const double>(&mine, 1));
}

template <class T>
void ModelExchange<T>::begin(Trainer<T>& trainer) {
  arrays_ = trainer.model_arrays();
  hosts_.clear();
  std::int64_t elements = 0;
  for (const auto& array : arrays_) {
    hosts_.push_back(Kokkos::create_mirror_view(array));
    elements += static_cast<std::int64_t>(array.size());
  }
  if (plan_.averages()) mean_.emplace(peers_);
  const auto agree = [&](std::int64_t mine, const char* what, const char* hint) {
    const auto all = of_all(static_cast<double>(mine));
    for (std::size_t k = 0; k < all.size(); ++k)
      if (all[k] != all[0])
        throw usage_error("task.mode = {}: the tasks differ in {}: {} in task 0, {} in task {}. Hint: {}", plan_.averages() ? "average" : "tournament", what,
                          all[0], all[k], k, hint);
  };
  agree(elements, "the size of their models", "tasks must not change the network or train.ema");
  agree(trainer.total_steps(), "their number of steps", "set train.steps, or give each task data of the same size and one data.batch");
  const std::int64_t step = trainer.progress().step;
  agree(plan_.rounds(step) + (plan_.averages() && step == trainer.total_steps() && step > 0 && plan_.last_before(step) != step ? 1 : 0),
        "the exchanges behind them",
        "their checkpoints are of different states of the job; restore them from a copy, or set run.output to another folder to "
        "start over");
  if (plan_.averages()) return;
  const Deck& deck = trainer.deck();
  auto& network = trainer.network();
  data_ = std::make_unique<DataSet>(trainer.comm(), held_out_, trainer.train_data().names(), network.input_shape(),
                                    label_demand(deck, network.input_shape(), network.output_shape()));
  evaluator_ = std::make_unique<Evaluator<T>>(deck, trainer.grid(), network, *data_, trainer.io(), trainer.evaluation_batch());
}

template <class T>
bool ModelExchange<T>::all_go_on(bool stop) {
  if (peers_.all_reduce(stop ? 1 : 0, MPI_MAX) != 0) over_ = true;
  return !over_;
}

template <class T>
bool ModelExchange<T>::before_step(Trainer<T>& trainer) {
  return !plan_.meets(trainer.progress().step + 1, trainer.total_steps()) || all_go_on(false);
}

template <class T>
void ModelExchange<T>::after_step(Trainer<T>& trainer) {
  if (!plan_.meets(trainer.progress().step, trainer.total_steps())) return;
  plan_.averages() ? average(trainer) : compete(trainer);
  ++exchanges_;
}

template <class T>
bool ModelExchange<T>::may_save(Trainer<T>& trainer, bool due) {
  if (!plan_.meets(trainer.progress().step, trainer.total_steps())) return false;
  return peers_.all_reduce(due ? 1 : 0, MPI_MAX) != 0;
}

template <class T>
void ModelExchange<T>::average(Trainer<T>& trainer) {
  const std::int64_t step = trainer.progress().step;
  std::vector<double> weights = weights_;
  if (weights.empty()) {
    weights = of_all(static_cast<double>(trainer.samples_of(step) - trainer.samples_of(plan_.last_before(step - 1))));
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (double& weight : weights) weight /= sum;
  }
  trainer.execution().fence("trireme::exchange: the step's update before the mean");
  for (std::size_t a = 0; a < arrays_.size(); ++a) {
    Kokkos::deep_copy(hosts_[a], arrays_[a]);
    (*mean_)(std::span(hosts_[a].data(), hosts_[a].size()), weights);
    Kokkos::deep_copy(arrays_[a], hosts_[a]);
  }
}

template <class T>
double ModelExchange<T>::score(Trainer<T>& trainer) {
  const double loss = evaluator_->run(trainer.execution()).loss;
  return std::isfinite(loss) ? loss : std::numeric_limits<double>::infinity();
}

template <class T>
void ModelExchange<T>::compete(Trainer<T>& trainer) {
  const std::int64_t step = trainer.progress().step, round = plan_.rounds(step);
  const auto scores = of_all(score(trainer));
  const int me = peers_.rank(), other = tournament_pairs(seed_, round, peers_.size())[static_cast<std::size_t>(me)];
  if (other == me) {
    log::info("tournament {} at step {}: no opponent in this round, held-out loss {:.6g}", round, step, scores[static_cast<std::size_t>(me)]);
    return;
  }
  const double mine = scores[static_cast<std::size_t>(me)], theirs = scores[static_cast<std::size_t>(other)];
  log::info("tournament {} at step {}: held-out loss {:.6g}, task {:03} has {:.6g}: {}", round, step, mine, other, theirs,
            mine < theirs   ? "wins"
            : theirs < mine ? "takes over its model"
                            : "tie, both models stay");
  if (mine == theirs) return;
  trainer.execution().fence("trireme::exchange: the step's update before its model is sent");
  for (std::size_t a = 0; a < arrays_.size(); ++a) {
    if (mine < theirs) {
      Kokkos::deep_copy(hosts_[a], arrays_[a]);
      peers_.send(std::span<const T>(hosts_[a].data(), hosts_[a].size()), other);
    } else {
      peers_.receive(std::span<T>(hosts_[a].data(), hosts_[a].size()), other);
      Kokkos::deep_copy(arrays_[a], hosts_[a]);
    }
  }
  if (theirs < mine) ++losses_;
}

template <class T>
void ModelExchange<T>::end(Trainer<T>& trainer, bool stopped) {
  if (!stopped) {
    if (evaluator_) held_out_loss_ = score(trainer);
    return;
  }
  // Other tasks may wait for an exchange; if no exchange is left, none does.
  if (over_) return;
  for (std::int64_t s = trainer.progress().step + 1; s <= trainer.total_steps(); ++s)
    if (plan_.meets(s, trainer.total_steps())) {
      all_go_on(true);
      return;
    }
}

template <class T>
void ModelExchange<T>::release() noexcept {
  evaluator_.reset();
  data_.reset();
  arrays_.clear();
  hosts_.clear();
}

template class ModelExchange<float>;
template class ModelExchange<double>;

}  // namespace trireme
