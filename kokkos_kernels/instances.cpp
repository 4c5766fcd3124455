// CUDA: one stream per instance, and events between them. Elsewhere the earlier instance is fenced.
#include "kokkos_kernels/instances.hpp"

#if defined(KOKKOS_ENABLE_CUDA)
#include <cuda_runtime.h>

#include "base/error.hpp"
#endif

namespace trireme {

Execution new_instance(const Execution& exec) {
  if constexpr (on_host)
    return exec;
  else
    return Kokkos::Experimental::partition_space(exec, 1)[0];
}

#if defined(KOKKOS_ENABLE_CUDA)

namespace {
void check(cudaError_t status, const char* call) {
  if (status != cudaSuccess) throw internal_error("{} failed: {}", call, cudaGetErrorString(status));
}
}  // namespace

void wait_for(const Execution& later, const Execution& earlier) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  const cudaError_t recorded = cudaEventRecord(event, earlier.cuda_stream());
  const cudaError_t awaited = recorded == cudaSuccess ? cudaStreamWaitEvent(later.cuda_stream(), event, 0) : recorded;
  cudaEventDestroy(event);  // takes effect when the event has come
  check(awaited, recorded == cudaSuccess ? "cudaStreamWaitEvent" : "cudaEventRecord");
}

#else

void wait_for(const Execution&, const Execution& earlier) {
  if constexpr (!on_host) earlier.fence("trireme::order: one instance after another");
}

#endif

}  // namespace trireme
