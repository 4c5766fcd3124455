// Execution-space instances with one, two and three threads, for kernels whose bits must not depend on them.
#pragma once

#include <type_traits>
#include <vector>

#include "support/arrays.hpp"

namespace trireme::test {

/// On a device, and on a host without OpenMP: the default instance.
template <class Space = Execution>
std::vector<Space> one_to_three_threads() {
#ifdef KOKKOS_ENABLE_OPENMP
  if constexpr (std::is_same_v<Space, Kokkos::OpenMP>) return {Space(1), Space(2), Space(3)};
#endif
  return {Space()};
}

/// run(instance) gives results in order of the instances; whether all have the same bits.
template <class Run>
bool same_on_all_threads(const Run& run) {
  const auto instances = one_to_three_threads();
  const auto first = run(instances.front());
  for (std::size_t i = 1; i < instances.size(); ++i)
    if (!same_bits(run(instances[i]), first)) return false;
  return true;
}

}  // namespace trireme::test
