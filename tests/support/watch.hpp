// What Kokkos reports through its tools interface while a Watch lives. One at a time.
#pragma once

#include <Kokkos_Core.hpp>
#include <map>
#include <string>
#include <vector>

namespace trireme::test {

struct Watch {
  static inline long allocations = 0, copies = 0;
  static inline std::vector<std::string> kernels;    // labels in the order of their launch
  static inline std::map<std::string, long> fences;  // label -> how often, but for those that watching brings

  Watch() {
    allocations = copies = 0;
    kernels.clear();
    fences.clear();
    const auto kernel = [](const char* name, std::uint32_t, std::uint64_t*) { kernels.emplace_back(name); };
    Kokkos::Tools::Experimental::set_begin_parallel_for_callback(kernel);
    Kokkos::Tools::Experimental::set_begin_parallel_reduce_callback(kernel);
    Kokkos::Tools::Experimental::set_begin_parallel_scan_callback(kernel);
    Kokkos::Tools::Experimental::set_begin_fence_callback([](const char* name, std::uint32_t, std::uint64_t*) {
      if (std::string(name).find("Tool Fence") == std::string::npos) ++fences[name];
    });
    Kokkos::Tools::Experimental::set_begin_deep_copy_callback(
        [](Kokkos::Profiling::SpaceHandle, const char*, const void*, Kokkos::Profiling::SpaceHandle, const char*, const void*, std::uint64_t) { ++copies; });
    Kokkos::Tools::Experimental::set_allocate_data_callback([](Kokkos::Profiling::SpaceHandle, const char*, const void*, std::uint64_t) { ++allocations; });
  }
  ~Watch() {
    Kokkos::Tools::Experimental::set_begin_parallel_for_callback(nullptr);
    Kokkos::Tools::Experimental::set_begin_parallel_reduce_callback(nullptr);
    Kokkos::Tools::Experimental::set_begin_parallel_scan_callback(nullptr);
    Kokkos::Tools::Experimental::set_begin_fence_callback(nullptr);
    Kokkos::Tools::Experimental::set_begin_deep_copy_callback(nullptr);
    Kokkos::Tools::Experimental::set_allocate_data_callback(nullptr);
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
};

}  // namespace trireme::test
