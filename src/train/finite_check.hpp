// Checks whether a step may update the parameters: its loss and all gradients must be finite.
#pragma once

#include "comm/process_grid.hpp"
#include "network/network.hpp"

namespace trireme {

template <class T>
class FiniteCheck {
 public:
  /// Both arguments must outlive the check. `same`: gradients and loss are the same on all ranks of the data axis (no ZeRO partition), so ranks that
  /// hold the whole model need no communication.
  FiniteCheck(Network<T>& network, const ProcessGrid& grid, bool same);

  /// Call it after the reductions and before the update. Returns the same value on all ranks; collective over the run if communication is needed.
  /// Waits for the device.
  bool passes(const Execution& exec);

 private:
  Network<T>& network_;
  const ProcessGrid& grid_;
  bool asks_;
  Buffer<double> partial_, result_;
};

}  // namespace trireme
