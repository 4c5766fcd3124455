// Pass::all_reduce on a process grid.
#pragma once

#include <functional>

#include "comm/process_grid.hpp"
#include "layers/layer.hpp"
#include "parallel/rank_sum.hpp"

namespace trireme {

class ReductionGroupSums {
 public:
  /// `grid` must outlive the object.
  explicit ReductionGroupSums(const ProcessGrid& grid) : grid_(grid) {}

  /// Empty if no other rank shares this rank's batches. Refers to this object.
  std::function<void(const Execution&, Span<double>, ReductionGroup)> function() {
    if (grid_.reduction().size() == 1) return {};
    return [this](const Execution& exec, Span<double> values, ReductionGroup sharers) { sum_.run(exec, ranks(sharers), values); };
  }

 private:
  const Communicator& ranks(ReductionGroup sharers) const {
    return sharers == ReductionGroup::data ? grid_.data() : sharers == ReductionGroup::pixels ? grid_.spatial() : grid_.reduction();
  }

  const ProcessGrid& grid_;
  RankSum<double> sum_;
};

}  // namespace trireme
