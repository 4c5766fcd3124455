// The optimiser: state arenas beside the parameter arena, and one fused kernel a step.
#pragma once

#include <string>
#include <vector>

#include "config/deck.hpp"
#include "kokkos_kernels/update.hpp"
#include "network/network.hpp"

namespace trireme {

template <class T>
class Optimizer {
 public:
  /// Kind and hyper-parameters from [optimizer]. Allocates the state for `network`, which outlives it.
  Optimizer(const Deck& deck, Network<T>& network);

  /// One update with learning rate `lr`. `step` counts updates from 0.
  void update(const Execution& exec, double lr, std::int64_t step);

  /// State arenas by name ("momentum"; "first_moment", "second_moment"), parallel to the parameters: checkpoints save them.
  struct State {
    std::string name;
    Buffer<T> values;
  };
  const std::vector<State>& states() const { return states_; }

 private:
  Network<T>& network_;
  enum class Kind { sgd, adam, adamw } kind_;
  SgdStep sgd_;
  AdamStep adam_;
  double clip_norm_;
  std::vector<State> states_;
  Buffer<double> norm_partial_, norm_;
};

}  // namespace trireme
