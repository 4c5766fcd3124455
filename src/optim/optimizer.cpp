#include "optim/optimizer.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "kokkos_kernels/elementwise.hpp"

namespace trireme {

namespace {

template <class E>
void to_device(const std::vector<E>& list, Buffer<E>& buffer, const char* label) {
  buffer = Buffer<E>(label, list.size());
  const auto host = Kokkos::create_mirror_view(buffer);
  std::ranges::copy(list, host.data());
  Kokkos::deep_copy(buffer, host);
}

}  // namespace

std::vector<std::string> optimizer_states(const Deck& deck) {
  const std::string& kind = deck.text("optimizer.kind");
  if (kind == "adam" || kind == "adamw" || kind == "lamb") return {"first_moment", "second_moment"};
  std::vector<std::string> names;
  if (kind == "rmsprop") {
    names.emplace_back("square_average");
    if (deck.boolean("optimizer.centered")) names.emplace_back("gradient_average");
  }
  if (deck.real("optimizer.momentum") > 0) names.emplace_back("momentum");
  return names;
}

template <class T>
Optimizer<T>::Optimizer(const Deck& deck, Network<T>& network, const Shards& shards, const NormScope& scope)
    : network_(network), shards_(shards), clip_norm_(deck.real("optimizer.clip_norm")) {
  if (shards.arena_size() != network.arena_size())
    throw internal_error("optimizer: shards of {} elements for an arena of {}", shards.arena_size(), network.arena_size());
  const std::string& kind = deck.text("optimizer.kind");
  kind_ = kind == "adam"      ? Kind::adam
          : kind == "adamw"   ? Kind::adamw
          : kind == "rmsprop" ? Kind::rmsprop
          : kind == "lars"    ? Kind::lars
          : kind == "lamb"    ? Kind::lamb
                              : Kind::sgd;
  sgd_.momentum = rmsprop_.momentum = lars_.momentum = deck.real("optimizer.momentum");
  sgd_.dampening = deck.real("optimizer.dampening");
  sgd_.nesterov = deck.boolean("optimizer.nesterov");
  sgd_.weight_decay = adam_.weight_decay = rmsprop_.weight_decay = lars_.weight_decay = deck.real("optimizer.weight_decay");
  adam_.beta1 = deck.real("optimizer.beta1");
  adam_.beta2 = deck.real("optimizer.beta2");
  adam_.epsilon = rmsprop_.epsilon = lars_.epsilon = deck.real("optimizer.epsilon");
  adam_.decoupled = kind_ == Kind::adamw;
  rmsprop_.alpha = deck.real("optimizer.alpha");
  lars_.trust = deck.real("optimizer.trust");
  if (kind_ == Kind::sgd && sgd_.nesterov && (sgd_.momentum <= 0 || sgd_.dampening != 0))
    throw usage_error("optimizer.nesterov = true needs optimizer.momentum > 0 and optimizer.dampening = 0; found momentum {} and dampening {}",
                      sgd_.momentum, sgd_.dampening);
  lay_out_runs(deck.boolean("optimizer.decay_biases"));
  for (const std::string& name : optimizer_states(deck)) add_state(name);
  const bool trusts = kind_ == Kind::lars || kind_ == Kind::lamb;
  if ((clip_norm_ > 0 || trusts) && (!shards_.whole() || scope.model != nullptr)) {
    if (!shards_.whole() && scope.shards == nullptr) throw internal_error("optimizer: norms of a part of the parameters need the ranks that own the rest");
    NormScope beyond = scope;
    if (shards_.whole()) beyond.shards = nullptr;
    norms_.emplace(UpdateRuns{runs_, first_runs_}, static_cast<std::int64_t>(network.parameters().size()), beyond);
  }
  if (clip_norm_ > 0) {
    norm_partial_ = Buffer<double>("trireme::optimizer::norm_partial", static_cast<std::size_t>(squared_norm_workspace(network.arena_size())));
    norm_ = Buffer<double>("trireme::optimizer::norm", 1);
  }
  if (trusts) {
    trust_partial_ = Buffer<double>("trireme::optimizer::trust_partial", 2 * runs_.size());
    trust_squares_ = Buffer<double>("trireme::optimizer::trust_squares", 2 * network.parameters().size());
    trust_ = Buffer<double>("trireme::optimizer::trust", network.parameters().size());
    std::vector<double> roots;
    for (const Parameter& parameter : network.parameters()) roots.push_back(std::sqrt(static_cast<double>(parameter.whole().size())));
    to_device(roots, trust_roots_, "trireme::optimizer::trust_roots");
  }
}

template <class T>
void Optimizer<T>::lay_out_runs(bool decay_biases) {
  std::vector<UpdateRun> runs;
  std::vector<std::int32_t> first{0};
  for (const Parameter& parameter : network_.parameters()) {
    for (const auto& owned : shards_.owned()) {
      const std::int64_t begin = std::max(parameter.offset, owned.first), end = std::min(parameter.offset + parameter.shape.size(), owned.last);
      for (std::int64_t at = begin; at < end; at += UpdateRun::length)
        runs.push_back({at, std::min(at + UpdateRun::length, end), static_cast<std::int32_t>(first.size()) - 1, decay_biases || parameter.shape.rank() > 1,
                        owned.at - owned.first});
    }
    first.push_back(static_cast<std::int32_t>(runs.size()));
  }
  to_device(runs, runs_, "trireme::optimizer::runs");
  to_device(first, first_runs_, "trireme::optimizer::first_runs");
}

template <class T>
void Optimizer<T>::add_state(const std::string& name) {
  states_.push_back({name, Buffer<T>("trireme::optimizer::" + name, static_cast<std::size_t>(shards_.size()))});
}

template <class T>
Span<T> Optimizer<T>::state(std::string_view name) {
  const auto found = std::ranges::find(states_, name, &State::name);
  return found == states_.end() ? Span<T>() : slice<T>(found->values, 0, shards_.size());
}

template <class T>
void Optimizer<T>::update(const Execution& exec, double lr, std::int64_t step) {
  const Span<T> gradients = network_.gradients(), values = network_.values();
  const UpdateRuns runs{runs_, first_runs_};
  TrustRatios trust{trust_partial_, trust_squares_, trust_, trust_roots_, {}};
  if (norms_) trust.complete = [this](const Execution& on, Span<double> squares) { norms_->complete(on, squares); };
  Clip clip;
  if (clip_norm_ > 0) {
    if (norms_)
      norms_->squared(exec, gradients, norm_);
    else
      squared_norm<T>(exec, network_.arena_size(), gradients, norm_partial_, norm_);
    clip = {clip_norm_, norm_};
  }
  sgd_.lr = adam_.lr = rmsprop_.lr = lars_.lr = lr;
  sgd_.first = step == 0;
  adam_.t = step + 1;
  switch (kind_) {
    case Kind::sgd: return sgd_update<T>(exec, runs, sgd_, clip, gradients, values, state("momentum"));
    case Kind::adam:
    case Kind::adamw: return adam_update<T>(exec, runs, adam_, clip, gradients, values, state("first_moment"), state("second_moment"));
    case Kind::rmsprop:
      return rmsprop_update<T>(exec, runs, rmsprop_, clip, gradients, values, state("square_average"), state("gradient_average"), state("momentum"));
    case Kind::lars: return lars_update<T>(exec, runs, lars_, clip, trust, gradients, values, state("momentum"));
    case Kind::lamb: return lamb_update<T>(exec, runs, adam_, clip, trust, gradients, values, state("first_moment"), state("second_moment"));
  }
}

template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace trireme
