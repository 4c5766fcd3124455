// Counts how often this rank computed an interior during a halo exchange (parallel/halo_overlap.hpp), by the Kokkos Tools interface. Use one at a time.
#pragma once

#include <Kokkos_Core.hpp>
#include <string_view>

namespace trireme::test {

struct CountedInteriors {
  static inline long count = 0;

  CountedInteriors() {
    count = 0;
    Kokkos::Tools::Experimental::set_push_region_callback([](const char* name) { count += std::string_view(name) == "trireme::halo::interior"; });
  }
  ~CountedInteriors() { Kokkos::Tools::Experimental::set_push_region_callback(nullptr); }
  CountedInteriors(const CountedInteriors&) = delete;
  CountedInteriors& operator=(const CountedInteriors&) = delete;
};

}  // namespace trireme::test
