#include "kokkos_kernels/devices.hpp"

#include <Kokkos_Core.hpp>

#include "base/error.hpp"

#if defined(KOKKOS_ENABLE_CUDA)
#include <cuda_runtime.h>
#endif

namespace trireme {

int device_count() {
#if defined(KOKKOS_ENABLE_CUDA)
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0)
    throw usage_error("this program was built for CUDA and finds no device that it can use ({}). Hint: run it on a node with a GPU and its driver, or use the "
                      "build for the host (scripts/build release)", status == cudaSuccess ? "there is none" : cudaGetErrorString(status));
  return count;
#elif defined(KOKKOS_ENABLE_HIP) || defined(KOKKOS_ENABLE_SYCL)
  return Kokkos::num_devices();
#else
  return 0;
#endif
}

}  // namespace trireme
