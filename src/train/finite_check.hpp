// Whether a step may update the parameters: its loss and all its gradients are finite numbers.
#pragma once

#include "comm/process_grid.hpp"
#include "network/network.hpp"

namespace trireme {

template <class T>
class FiniteCheck {
 public:
  /// Both outlive it. `same`: gradients and loss are the same on all ranks of the data axis (no shards), so that ranks need not ask each other where
  /// each has the whole model.
  FiniteCheck(Network<T>& network, const ProcessGrid& grid, bool same);

  /// After the sums over ranks, before the update. The same answer on all ranks; collective over the run where they must ask. Waits for the device.
  bool passes(const Execution& exec);

 private:
  Network<T>& network_;
  const ProcessGrid& grid_;
  bool asks_;
  Buffer<double> partial_, result_;
};

}  // namespace trireme
