// The one place where norms of parameters and gradients are made whole: a rank may hold state for a part of its parameters only (Shards, over the data
// axis), and parameters themselves may be spread over other ranks, or lie on several at once (the model's axes: tensor, pipeline).
#pragma once

#include <optional>
#include <vector>

#include "kokkos_kernels/update.hpp"
#include "parallel/rank_sum.hpp"

namespace trireme {

/// What lies beyond this rank. The default is a rank that has everything.
struct NormScope {
  const Communicator* shards = nullptr;      // ranks that own the other parts of the same arenas (see Shards); null: this rank owns all
  const Communicator* model = nullptr;       // ranks that hold the model's other parameters and parts of parameters; null: this rank holds all
  std::vector<std::uint8_t> counts{};        // per parameter of this rank, where there is a model: whether this rank's numbers of it count in sums over
                                             // `model`: of replicas exactly one must. Empty: all do
  std::vector<std::int32_t> global_number{}; // per parameter of this rank: its number among all of the model's; parts of one parameter have one number
  std::int32_t global_parameters = 0;        // how many numbers there are
};

template <class T>
class Norms {
 public:
  /// Runs: what this rank owns, in `parameters` parameters. Communicators in `scope` outlive it. Not collective; what follows is, over both of them.
  Norms(UpdateRuns runs, std::int64_t parameters, NormScope scope);

  /// result(0) = sum of the squares of `gradients` over the whole model, the same bits on all ranks that hold the same numbers.
  void squared(const Execution& exec, Span<const T> gradients, Span<double> result) const;
  /// squares(2p), squares(2p + 1): sums over this rank's runs of parameter p become sums over the whole parameter.
  void complete(const Execution& exec, Span<double> squares) const;
  /// Whether this rank's runs are the whole of all parameters: then complete() does nothing.
  bool whole() const { return shards_ == nullptr && model_ == nullptr; }

 private:
  UpdateRuns runs_;
  std::int64_t parameters_;
  const Communicator *shards_, *model_;  // null: nothing lies beyond this rank
  mutable RankSum<double> sum_;
  Buffer<double> partial_, squares_;     // of squared(): one a run, one a parameter
  Buffer<double> global_;                // two a parameter of the model
  Buffer<std::uint8_t> counts_;
  Buffer<std::int32_t> number_;
};

}  // namespace trireme
