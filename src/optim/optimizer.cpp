#include "optim/optimizer.hpp"

#include "base/error.hpp"
#include "kokkos_kernels/elementwise.hpp"

namespace trireme {

template <class T>
Optimizer<T>::Optimizer(const Deck& deck, Network<T>& network) : network_(network), clip_norm_(deck.real("optimizer.clip_norm")) {
  const std::string& kind = deck.text("optimizer.kind");
  kind_ = kind == "adam" ? Kind::adam : kind == "adamw" ? Kind::adamw : Kind::sgd;
  sgd_.momentum = deck.real("optimizer.momentum");
  sgd_.dampening = deck.real("optimizer.dampening");
  sgd_.nesterov = deck.boolean("optimizer.nesterov");
  sgd_.weight_decay = adam_.weight_decay = deck.real("optimizer.weight_decay");
  adam_.beta1 = deck.real("optimizer.beta1");
  adam_.beta2 = deck.real("optimizer.beta2");
  adam_.epsilon = deck.real("optimizer.epsilon");
  adam_.decoupled = kind_ == Kind::adamw;
  if (kind_ == Kind::sgd && sgd_.nesterov && (sgd_.momentum <= 0 || sgd_.dampening != 0))
    throw usage_error("optimizer.nesterov = true needs optimizer.momentum > 0 and optimizer.dampening = 0; found momentum {} and dampening {}",
                      sgd_.momentum, sgd_.dampening);
  const auto add = [&](const char* name) {
    states_.push_back({name, Buffer<T>("trireme::optimizer::" + std::string(name), static_cast<std::size_t>(network.arena_size()))});
  };
  if (kind_ != Kind::sgd)
    add("first_moment"), add("second_moment");
  else if (sgd_.momentum > 0)
    add("momentum");
  if (clip_norm_ > 0) {
    norm_partial_ = Buffer<double>("trireme::optimizer::norm_partial", static_cast<std::size_t>(squared_norm_workspace(network.arena_size())));
    norm_ = Buffer<double>("trireme::optimizer::norm", 1);
  }
}

template <class T>
void Optimizer<T>::update(const Execution& exec, double lr, std::int64_t step) {
  const std::int64_t count = network_.arena_size();
  Clip clip;
  if (clip_norm_ > 0) {
    squared_norm<T>(exec, count, network_.gradients(), norm_partial_, norm_);
    clip = {clip_norm_, norm_};
  }
  const auto state = [&](std::size_t i) { return i < states_.size() ? slice<T>(states_[i].values, 0, count) : Span<T>(); };
  if (kind_ == Kind::sgd) {
    sgd_.lr = lr;
    sgd_.first = step == 0;
    sgd_update<T>(exec, count, sgd_, clip, network_.gradients(), network_.values(), state(0));
  } else {
    adam_.lr = lr;
    adam_.t = step + 1;
    adam_update<T>(exec, count, adam_, clip, network_.gradients(), network_.values(), state(0), state(1));
  }
}

template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace trireme
