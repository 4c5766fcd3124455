// Counts devices through the vendor's runtime, and makes Kokkos allocate its memory for teams before a step does.
#include "kokkos_kernels/devices.hpp"

#include "base/error.hpp"
#include "kokkos_kernels/types.hpp"

#if defined(KOKKOS_ENABLE_CUDA)
#include <cuda_runtime.h>
#endif

namespace trireme {

int device_count() {
#if defined(KOKKOS_ENABLE_CUDA)
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0)
    throw usage_error(
        "this program was built for CUDA and finds no device that it can use ({}). Hint: run it on a node with a GPU and its driver, or use the "
        "build for the host (scripts/build release)",
        status == cudaSuccess ? "there is none" : cudaGetErrorString(status));
  return count;
#elif defined(KOKKOS_ENABLE_HIP) || defined(KOKKOS_ENABLE_SYCL)
  return Kokkos::num_devices();
#else
  return 0;
#endif
}

void settle_team_memory() {
  if constexpr (!on_host) {
    const Team policy = Team(Execution(), 1, 32).set_scratch_size(1, Kokkos::PerTeam(64));
    Kokkos::parallel_for("trireme::devices::settle", policy, KOKKOS_LAMBDA(const Team::member_type&){});
    Kokkos::fence("trireme::devices: settled");
  }
}

}  // namespace trireme
