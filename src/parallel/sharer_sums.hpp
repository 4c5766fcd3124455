// Pass::sum_over on a process grid.
#pragma once

#include <functional>

#include "comm/process_grid.hpp"
#include "layers/layer.hpp"
#include "parallel/rank_sum.hpp"

namespace trireme {

class SharerSums {
 public:
  /// `grid` outlives it.
  explicit SharerSums(const ProcessGrid& grid) : grid_(grid) {}

  /// Empty where this rank shares its batches with nobody. Refers to this object.
  std::function<void(const Execution&, Span<double>, Sharers)> function() {
    if (grid_.reduction().size() == 1) return {};
    return [this](const Execution& exec, Span<double> values, Sharers sharers) { sum_.run(exec, ranks(sharers), values); };
  }

 private:
  const Communicator& ranks(Sharers sharers) const {
    return sharers == Sharers::data ? grid_.data() : sharers == Sharers::pixels ? grid_.spatial() : grid_.reduction();
  }

  const ProcessGrid& grid_;
  RankSum<double> sum_;
};

}  // namespace trireme
