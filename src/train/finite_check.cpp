#include "train/finite_check.hpp"

#include <cmath>

#include "kokkos_kernels/elementwise.hpp"

namespace trireme {

template <class T>
FiniteCheck<T>::FiniteCheck(Network<T>& network, const ProcessGrid& grid, bool same)
    : network_(network),
      grid_(grid),
      asks_(grid.run().size() > 1 && !(same && grid.model().size() == 1)),
      partial_("trireme::finite_check::partial", static_cast<std::size_t>(squared_norm_workspace(network.arena_size() + Network<T>::control_size))),
      result_("trireme::finite_check::result", 1) {}

template <class T>
bool FiniteCheck<T>::passes(const Execution& exec) {
  // A single NaN or infinity makes the sum of squares NaN or infinite, among the gradients or the control numbers after them (including the loss).
  // Squares are summed in double, so that finite fp32 numbers cannot overflow; in fp64 numbers above 1e154 count as infinite.
  const std::int64_t count = network_.arena_size() + Network<T>::control_size;
  squared_norm<T>(exec, count, slice<T>(network_.gradients_and_control(), 0, count), slice<double>(partial_, 0, static_cast<std::int64_t>(partial_.size())),
                  slice<double>(result_, 0, 1));
  const auto host = Kokkos::create_mirror_view(result_);
  Kokkos::deep_copy(exec, host, result_);
  exec.fence("trireme::finite_check: the norm to the host");
  int bad = std::isfinite(host(0)) ? 0 : 1;
  if (asks_) bad = grid_.run().all_reduce(bad, MPI_MAX);
  return bad == 0;
}

template class FiniteCheck<float>;
template class FiniteCheck<double>;

}  // namespace trireme
