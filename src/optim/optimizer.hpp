// The optimizer: state arenas beside the parameter arena, and one fused kernel per step (optimizer_kind.hpp).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/deck.hpp"
#include "network/network.hpp"
#include "optim/norms.hpp"
#include "optim/optimizer_kind.hpp"
#include "optim/parameter_groups.hpp"
#include "reduction/zero_partition.hpp"

namespace trireme {

/// Names of the state arenas that the deck's optimizer keeps, each as large as the parameters.
std::vector<std::string> optimizer_states(const Deck& deck);

template <class T>
class Optimizer {
 public:
  /// Kind and hyper-parameters from [optimizer]. Allocates the state for `network`, which outlives it.
  Optimizer(const Deck& deck, Network<T>& network) : Optimizer(deck, network, ZeroPartition(network.arena_size())) {}
  /// Updates, and keeps state for, what this rank owns of the arenas; `scope` says who has the rest, where norms are wanted.
  Optimizer(const Deck& deck, Network<T>& network, const ZeroPartition& shards, const NormScope& scope = {});

  /// One update with learning rate `lr`, which each group multiplies by its factor. Gradients of frozen parameters become 0. `step` counts updates from 0.
  /// Collective over the communicators of the scope where there is clipping or the kind needs norms of whole parameters (OptimizerKind::layer_norms).
  void update(const Execution& exec, double lr, std::int64_t step);

  /// State arenas by name ("momentum"; "first_moment", "second_moment"; "square_average", "gradient_average"), parallel to the
  /// parameters, or compact where this rank owns a part of them (see Shards): checkpoints save them, through optim/sharded_state.hpp.
  struct State {
    std::string name;
    Buffer<T> values;
  };
  const std::vector<State>& states() const { return states_; }
  const ZeroPartition& shards() const { return shards_; }
  const ParameterGroups& groups() const { return groups_; }

 private:
  /// Parameters that are updated alike.
  struct Part {
    std::unique_ptr<UpdateRule<T>> rule;
    double lr_factor;
    Buffer<ParameterChunk> runs;
    Buffer<std::int32_t> first_runs;  // of each parameter, and the end
  };
  struct FrozenRange {
    std::int64_t first, last;
  };
  void lay_out_parts(const Deck& deck);
  /// The chunks of all parameters, or of those of one group.
  void lay_out_chunks(bool decay_biases, std::optional<int> group, Buffer<ParameterChunk>& runs, Buffer<std::int32_t>& first) const;
  void add_state(const std::string& name);
  Span<T> state(std::string_view name);

  Network<T>& network_;
  ZeroPartition shards_;
  ParameterGroups groups_;
  double clip_norm_;
  std::vector<State> states_;
  Buffer<ParameterChunk> runs_;  // of all parameters
  Buffer<std::int32_t> first_runs_;
  std::vector<Part> parts_;
  std::vector<FrozenRange> frozen_;  // of the arenas
  std::optional<Norms<T>> norms_;    // where something is normed that is not all here
  Buffer<double> norm_partial_, norm_, trust_partial_, trust_squares_, trust_, trust_roots_;
};

}  // namespace trireme
