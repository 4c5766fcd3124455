#include "train/control_exchange.hpp"

#include <array>
#include <span>

namespace trireme {

namespace {

// Places in the control memory. Flags count the ranks that set them.
constexpr std::size_t loss_slot = 0, stop_slot = 1, fault_slot = 2, save_slot = 3, weight_slot = 4;
constexpr std::int64_t slots = 5;

// nvcc allows no kernel in a private member function.
template <class T>
void add_to_control(const Execution& exec, Span<const double> loss, double share, T stop, T fault, T save, Span<T> control) {
  Kokkos::parallel_for(
      "trireme::trainer::control", Range(exec, 0, 1), KOKKOS_LAMBDA(std::int64_t) {
        if (share > 0) {
          control(loss_slot) += static_cast<T>(share * loss(0));
          control(weight_slot) += static_cast<T>(share * loss(1));
        }
        control(stop_slot) = stop;
        control(fault_slot) = fault;
        control(save_slot) = save;
      });
}

}  // namespace

template <class T>
ControlExchange<T>::ControlExchange(const ProcessGrid& grid, Network<T>& network) : grid_(grid), network_(network), host_("trireme::trainer::control", slots) {}

template <class T>
void ControlExchange<T>::add(const Execution& exec, Span<const double> loss, double share, const StepFlags& flags) {
  const auto number = [](bool flag) { return flag ? T{1} : T{0}; };
  add_to_control<T>(exec, loss, share, number(flags.stop), number(flags.fault), number(flags.save), network_.control());
}

template <class T>
StepOutcome ControlExchange<T>::read(const Execution& exec, const LossFunction<T>& loss) {
  Kokkos::deep_copy(exec, host_, slice<T>(network_.control(), 0, slots));
  exec.fence("trireme::trainer: the step's loss to the host");
  std::array<double, slots> told{static_cast<double>(host_(loss_slot)), static_cast<double>(host_(stop_slot)), static_cast<double>(host_(fault_slot)),
                                 static_cast<double>(host_(save_slot)), static_cast<double>(host_(weight_slot))};
  if (grid_.model().size() > 1) {
    // If several ranks have the same loss, one of them counts.
    if (!((grid_.place().tensor == 0 || loss.is_part()) && network_.place().last_stage())) told[loss_slot] = told[weight_slot] = 0;
    grid_.model().all_reduce(std::span<double>(told));
  }
  return {told[loss_slot], told[weight_slot], {told[stop_slot] > 0, told[fault_slot] > 0, told[save_slot] > 0}};
}

template class ControlExchange<float>;
template class ControlExchange<double>;

}  // namespace trireme
