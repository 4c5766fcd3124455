// Completes norms of parameters and gradients over ranks: a rank may hold state for a part of its parameters only (ZeRO partition, over the data
// axis), and parameters may be distributed over other ranks or replicated on several ranks (the model axes: tensor, pipeline).
#pragma once

#include <optional>
#include <vector>

#include "kokkos_kernels/update.hpp"
#include "parallel/rank_sum.hpp"

namespace trireme {

/// The ranks that a norm extends over. The default is a rank that holds everything.
struct NormScope {
  const Communicator* shards = nullptr;       // ranks that own the other parts of the same arenas (ZeRO partition); null: this rank owns all
  const Communicator* model = nullptr;        // ranks that hold the other parameters, or parts of parameters, of the model; null: this rank holds all
  std::vector<std::uint8_t> counts{};         // per parameter of this rank, if there is a model group: whether its numbers count in sums over
                                              // `model`: of replicas exactly one must count. Empty: all count
  std::vector<std::int32_t> global_number{};  // per parameter of this rank: its number in the whole model; parts of one parameter share a number
  std::int32_t global_parameters = 0;         // number of parameters in the whole model
};

template <class T>
class Norms {
 public:
  /// `runs`: the elements that this rank owns, of `parameters` parameters. Communicators in `scope` must outlive the object. Not collective; the
  /// other functions are collective over both communicators.
  Norms(ParameterChunks runs, std::int64_t parameters, NormScope scope);

  /// result(0) = sum of the squares of `gradients` over the whole model, with the same bits on all ranks that hold the same numbers.
  void squared(const Execution& exec, Span<const T> gradients, Span<double> result) const;
  /// squares(2p), squares(2p + 1): converts sums over this rank's part of parameter p to sums over the whole parameter.
  void complete(const Execution& exec, Span<double> squares) const;
  /// Whether this rank holds all parameters completely: then complete() does nothing.
  bool whole() const { return shards_ == nullptr && model_ == nullptr; }

 private:
  ParameterChunks runs_;
  std::int64_t parameters_;
  const Communicator *shards_, *model_;  // null: this rank holds all
  mutable RankSum<double> sum_;
  Buffer<double> partial_, squares_;  // of squared(): one per run, one per parameter
  Buffer<double> global_;             // two per parameter of the model
  Buffer<std::uint8_t> counts_;
  Buffer<std::int32_t> number_;
};

}  // namespace trireme
