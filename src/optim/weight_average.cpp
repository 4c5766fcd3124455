#include "optim/weight_average.hpp"

#include "kokkos_kernels/elementwise.hpp"
#include "kokkos_kernels/update.hpp"

namespace trireme {

template <class T>
WeightAverage<T>::WeightAverage(Network<T>& network, double decay)
    : network_(network), decay_(decay), values_("trireme::optimizer::average", static_cast<std::size_t>(network.arena_size())) {}

template <class T>
void WeightAverage<T>::update(const Execution& exec, std::int64_t step) {
  average_update<T>(exec, network_.arena_size(), step == 0 ? 0 : decay_, network_.values(), values_);
}

template <class T>
void WeightAverage<T>::exchange(const Execution& exec) {
  trireme::exchange<T>(exec, network_.arena_size(), network_.values(), values_);
}

template class WeightAverage<float>;
template class WeightAverage<double>;

}  // namespace trireme
