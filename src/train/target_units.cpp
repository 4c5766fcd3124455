#include "train/target_units.hpp"

#include "kokkos_kernels/rescale.hpp"

namespace trireme {

template <class T>
TargetUnits<T>::TargetUnits(const std::optional<Normalization>& units, std::int64_t channels) : channels_(channels) {
  if (!units) return;
  factor_ = Buffer<T>("trireme::target_units::factor", static_cast<std::size_t>(channels));
  shift_ = Buffer<T>("trireme::target_units::shift", static_cast<std::size_t>(channels));
  const auto factor = Kokkos::create_mirror_view(factor_), shift = Kokkos::create_mirror_view(shift_);
  for (std::size_t c = 0; c < units->factor.size(); ++c) {
    factor(c) = static_cast<T>(1 / units->factor[c]);
    shift(c) = static_cast<T>(-units->shift[c] / units->factor[c]);
  }
  Kokkos::deep_copy(factor_, factor);
  Kokkos::deep_copy(shift_, shift);
}

template <class T>
Span<const T> TargetUnits<T>::in_file_units(const Execution& exec, std::int64_t rows, Span<const T> normalized, int which) {
  Buffer<T>& memory = memory_[which];
  const auto count = static_cast<std::size_t>(rows * channels_);
  if (memory.size() < count) memory = Buffer<T>("trireme::target_units::converted", count);
  rescale<T>(exec, rows, channels_, normalized, factor_, shift_, memory);
  return memory;
}

template class TargetUnits<float>;
template class TargetUnits<double>;

}  // namespace trireme
