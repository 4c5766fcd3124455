// The optimiser: state arenas beside the parameter arena, and one fused kernel a step.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/deck.hpp"
#include "kokkos_kernels/update.hpp"
#include "network/network.hpp"
#include "optim/norms.hpp"
#include "optim/shards.hpp"

namespace trireme {

/// Names of the state arenas that the deck's optimiser keeps, each as large as the parameters.
std::vector<std::string> optimizer_states(const Deck& deck);

template <class T>
class Optimizer {
 public:
  /// Kind and hyper-parameters from [optimizer]. Allocates the state for `network`, which outlives it.
  Optimizer(const Deck& deck, Network<T>& network) : Optimizer(deck, network, Shards(network.arena_size())) {}
  /// Updates, and keeps state for, what this rank owns of the arenas; `scope` says who has the rest, where norms are wanted.
  Optimizer(const Deck& deck, Network<T>& network, const Shards& shards, const NormScope& scope = {});

  /// One update with learning rate `lr`. `step` counts updates from 0. Collective over the communicators of the scope where there is clipping or kind
  /// is lars or lamb.
  void update(const Execution& exec, double lr, std::int64_t step);

  /// State arenas by name ("momentum"; "first_moment", "second_moment"; "square_average", "gradient_average"), parallel to the
  /// parameters, or compact where this rank owns a part of them (see Shards): checkpoints save them, through optim/sharded_state.hpp.
  struct State {
    std::string name;
    Buffer<T> values;
  };
  const std::vector<State>& states() const { return states_; }
  const Shards& shards() const { return shards_; }

 private:
  enum class Kind { sgd, adam, adamw, rmsprop, lars, lamb };
  void lay_out_runs(bool decay_biases);
  void add_state(const std::string& name);
  Span<T> state(std::string_view name);

  Network<T>& network_;
  Shards shards_;
  Kind kind_;
  SgdStep sgd_;
  AdamStep adam_;  // also of lamb
  RmspropStep rmsprop_;
  LarsStep lars_;
  double clip_norm_;
  std::vector<State> states_;
  Buffer<UpdateRun> runs_;
  Buffer<std::int32_t> first_runs_;  // of each parameter, and the end
  std::optional<Norms<T>> norms_;    // where something is normed that is not all here
  Buffer<double> norm_partial_, norm_, trust_partial_, trust_squares_, trust_, trust_roots_;
};

}  // namespace trireme
