// Pass 3, segments: activation checkpointing (Chen, Xu, Zhang and Guestrin 2016). The steps form segments of consecutive steps. The forward pass keeps only
// the values that later segments read; the backward pass recomputes the other values of a segment before its gradients.
//
//   in   steps after fusion, execution order, train.recompute
//   out  ExecutionOrder::segments, recomputed and kept. Steps that would overwrite a value that is read again do not work in place (Step::in_place).
//
// The last segment is kept, because its backward pass follows at once. A pipeline stage with several micro-batches in flight (slots > 1) recomputes it, too, so
// that each of them keeps only the values between segments.
//
// All ranks of the spatial and tensor axes must recompute the same layers that communicate. So the borders are chosen for the first rank of these axes, a
// border is never before a layer that another rank may fuse into its predecessor, and a segment that is recomputed repeats every message of its forward pass.
// Statistics of norms are kept. Not collective.
#pragma once

#include "config/deck.hpp"
#include "network/execution_order.hpp"

namespace trireme {

/// The value of train.recompute.
struct RecomputeOption {
  static constexpr std::int64_t most = 10'000;
  enum class Kind { none, smallest, segments } kind = Kind::none;
  std::int64_t segments = 0;

  /// Usage errors name the key.
  static RecomputeOption of(const Deck& deck);
};

/// The first step of each segment. Empty: nothing is recomputed. `segments` makes at most that many, with the least memory; `smallest` chooses their number, or
/// none if they would save nothing.
template <class T>
std::vector<std::size_t> choose_segments(StepGraph<T>& graph, const ExecutionOrder& order, std::int64_t samples, int slots, const RecomputeOption& option);

/// Sets the results of this pass.
template <class T>
void recompute_segments(StepGraph<T>& graph, ExecutionOrder& order, const std::vector<std::size_t>& begins, bool last_too);

}  // namespace trireme
