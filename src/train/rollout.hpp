// Autoregressive prediction: the network's output, the next time step, becomes the newest time step of its input.
#pragma once

#include <cstdint>

#include "config/deck.hpp"
#include "kokkos_kernels/types.hpp"
#include "network/network.hpp"

namespace trireme {

template <class T>
class Rollout {
 public:
  /// Usage errors say what makes a rollout impossible: the output must be the time step after the newest one of an input, in the same datasets.
  Rollout(const Deck& deck, const Network<T>& network);

  /// Keeps the input of `samples` samples, before the first pass over them.
  void begin(const Execution& exec, std::int64_t samples, Span<const T> input);
  /// Writes the input of the next time step: the kept input, advanced by `output`.
  void advance(const Execution& exec, std::int64_t samples, Span<const T> output, Span<T> input);

 private:
  std::int64_t pixels_, channels_, first_ = 0, window_ = 1, outputs_;  // channels [first_, first_ + window_ * outputs_) of the input advance
  Buffer<T> factor_, shift_;                                           // from units of the output to units of the input, per output channel
  Buffer<T> kept_, next_;
};

}  // namespace trireme
