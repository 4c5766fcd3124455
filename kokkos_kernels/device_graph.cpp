// Stream capture (CUDA): the second call with a key records the launches of a pass, later calls replay them. Elsewhere the work runs as it is.
#include "kokkos_kernels/device_graph.hpp"

#if defined(KOKKOS_ENABLE_CUDA)
#include <cuda_runtime.h>

#include <map>
#include <type_traits>

#include "base/error.hpp"
#include "base/log.hpp"
#endif

namespace trireme {

#if defined(KOKKOS_ENABLE_CUDA)

namespace {

struct End {
  void operator()(cudaGraph_t graph) const { cudaGraphDestroy(graph); }
  void operator()(cudaGraphExec_t graph) const { cudaGraphExecDestroy(graph); }
};
using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, End>;
using Replay = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, End>;

/// Empty where the work cannot be recorded; it has had no effect then.
Replay record(cudaStream_t stream, const std::function<void()>& work) {
  if (cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) != cudaSuccess) {
    cudaGetLastError();  // not for a later check to find
    return {};
  }
  bool refused = false;
  try {
    work();
  } catch (const std::exception& error) {
    log::warn("the step cannot be recorded as a CUDA graph: {}", error.what());
    refused = true;
  }
  cudaGraph_t recorded = nullptr;
  const cudaError_t status = cudaStreamEndCapture(stream, &recorded);
  const Graph graph(recorded);
  cudaGraphExec_t made = nullptr;
  if (!refused && status == cudaSuccess && recorded != nullptr && cudaGraphInstantiate(&made, recorded, 0) == cudaSuccess) return Replay(made);
  cudaGetLastError();  // what was refused is no error of what follows
  return {};
}

}  // namespace

struct DeviceGraph::Impl {
  std::map<Key, Replay> known;  // empty: called once
  bool refused = false;
  std::int64_t replays = 0;
};

void DeviceGraph::run(const Execution& exec, const Key& key, const std::function<void()>& work) {
  const auto [found, first_time] = impl_->known.try_emplace(key);
  if (first_time || impl_->refused) return work();
  if (!found->second) {
    found->second = record(exec.cuda_stream(), work);
    impl_->refused = !found->second;
    if (impl_->refused) return work();
  }
  if (const cudaError_t status = cudaGraphLaunch(found->second.get(), exec.cuda_stream()); status != cudaSuccess)
    throw internal_error("cudaGraphLaunch failed: {}", cudaGetErrorString(status));
  ++impl_->replays;
}

#else

struct DeviceGraph::Impl {
  std::int64_t replays = 0;
};

void DeviceGraph::run(const Execution&, const Key&, const std::function<void()>& work) { work(); }

#endif

DeviceGraph::DeviceGraph() : impl_(std::make_unique<Impl>()) {}
DeviceGraph::~DeviceGraph() = default;
DeviceGraph::DeviceGraph(DeviceGraph&&) noexcept = default;
DeviceGraph& DeviceGraph::operator=(DeviceGraph&&) noexcept = default;

std::int64_t DeviceGraph::replays() const { return impl_->replays; }

}  // namespace trireme
